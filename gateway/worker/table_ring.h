// A ring for tests of reloads: it has a table of listening sockets that can be filled, and
// counts the accepts that are armed. Nobody ever connects.
//
// Not for: sessions (tests/sim has a ring for them).
#pragma once

#include <unistd.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gateway/io/ring.h"

namespace starling {

class TableRing : public Ring {
 public:
  explicit TableRing(size_t places) : places_(places) {}
  ~TableRing() override {
    for (const auto& [fd, os_fd] : sockets_) close(os_fd);
  }

  absl::Status Start() override { return absl::OkStatus(); }
  absl::StatusOr<Fd> AddListener(int os_fd, bool) override {
    if (sockets_.size() + others_ + closing_ >= places_) {
      close(os_fd);
      return absl::ResourceExhaustedError("the table is full");
    }
    sockets_[next_] = os_fd;
    return next_++;
  }
  DataListener AddDataListener(const Endpoint&, uint16_t, uint16_t, uint32_t*) override {
    return {};
  }
  void CancelAccepts(Fd listener) override { armed_.erase(listener); }
  void RemoveListener(Fd listener) override {
    close(sockets_.at(listener));
    sockets_.erase(listener);
    ++closing_;  // until the next turn
  }
  void Discard(Fd) override {}
  void ArmAccept(Fd listener, Tag) override { armed_.insert(listener); }
  void Turn(MonoTime, std::vector<Completion>&) override { closing_ = 0; }
  void Wake() override {}
  void Submit() override {}
  std::span<uint8_t> Buffer(BufferId) override { return {}; }
  void ReturnBuffer(BufferId) override {}
  uint32_t BuffersOut() const override { return 0; }
  uint32_t DescriptorsInUse() const override { return static_cast<uint32_t>(sockets_.size()); }
  std::vector<std::pair<std::string, uint64_t>> OperationCounts() const override { return {}; }

  void OpenUpstream(Fd, const SocketAddress&, std::span<const uint8_t>, const Endpoint&, bool,
                    Tag) override {}
  void OpenData(Fd, const SocketAddress&, const Endpoint&, Tag) override {}
  void Recv(Fd, BufferGroup, uint32_t, Tag) override {}
  void Peek(Fd, Tag) override {}
  void Send(Fd, std::span<const uint8_t>, Tag) override {}
  void ShutdownWrite(Fd, Tag) override {}
  void Acknowledge(Fd) override {}
  void Cancel(Fd, Tag) override {}
  void CancelAndClose(Fd, Tag) override {}

  // Data channels that wait for their connections.
  void SetOthers(size_t others) { others_ = others; }
  size_t listeners() const { return sockets_.size(); }
  size_t armed() const { return armed_.size(); }

 private:
  const size_t places_;
  size_t others_ = 0;
  size_t closing_ = 0;
  Fd next_ = 1000;
  std::map<Fd, int> sockets_;
  std::set<Fd> armed_;
};

}  // namespace starling
