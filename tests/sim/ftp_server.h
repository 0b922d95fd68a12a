// The FTP servers behind the gateway, in plaintext. Each control connection plays what the
// plan of its client says.
//
// A server checks an upload at once: only the octets of the client that gave the command may
// come, in order.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "tests/sim/ftp_plan.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

class FtpLeg;

class FtpServer {
 public:
  FtpServer(World& world, std::deque<FtpPlan>& plans, const SocketAddress& address);
  ~FtpServer();

 private:
  World& world_;
  std::deque<FtpPlan>& plans_;
  int os_fd_;
  std::vector<std::unique_ptr<FtpLeg>> legs_;
};

}  // namespace starling::sim
