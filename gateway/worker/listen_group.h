// The listening sockets of all workers, address by address: binding them at
// start, and giving them up so that nothing in a backlog is lost.
//
// Not for: accepting (the worker, on its ring).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/config/config.h"

namespace starling {

// One bound address and a socket a worker, all in one SO_REUSEPORT group, in the
// order in which they joined it (the kernel's index in the group, as long as no
// older process holds some).
struct ListenGroup {
  uint32_t listener = 0;
  SocketAddress address;
  std::vector<int> fds;
};

// The addresses of the configuration's listeners, without sockets.
std::vector<ListenGroup> GroupsOf(const Config& config);
// Binds all of `groups` or none. An error names the listener and the address.
absl::Status Bind(const Config& config, std::vector<ListenGroup>& groups);
// Tells the kernel how much it may hold for the clients of these sockets; those that it has
// accepted already keep what they have. A reload may change it.
void LimitBuffers(const ListenerConfig& listener, const ListenGroup& group);
void CloseAll(std::vector<ListenGroup>& groups);

// Hands the addresses to a successor process, where there is one (measured: with this
// order of steps no connection of a connect loop is lost).
//   Steer(): clients that connect from now on reach the successor.
//   ... the workers accept until no client comes any more, then stop ...
//   Close(): the sockets leave the group, highest index first.
class ListenerHandoff {
 public:
  explicit ListenerHandoff(std::vector<ListenGroup>& groups) : groups_(groups) {}

  // What the log says of one address: which process accepts its clients from now on.
  struct Found {
    std::string address;
    std::string successor;
  };
  std::vector<Found> Steer();
  void Close();

 private:
  struct Plan {
    uint32_t successors = 0;  // listening sockets of exactly one other process
  };
  std::vector<ListenGroup>& groups_;
  std::vector<Plan> plans_;
};

}  // namespace starling
