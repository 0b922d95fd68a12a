// Runs the conformance suite on the ring on epoll, with either way to wait.
#include <memory>

#include "gateway/io/epoll/epoll.h"
#include "gateway/io/socket_harness.h"

namespace starling {
namespace {

using Made = absl::StatusOr<std::unique_ptr<Ring>>;

Made Make(const RingOptions& options, bool precise_wait) {
  auto ring = std::make_unique<epoll::EpollRing>(options);
  if (const absl::Status made = ring->Init(precise_wait); !made.ok()) return made;
  return ring;
}

Made Precise(const RingOptions& options) { return Make(options, true); }
Made Coarse(const RingOptions& options) { return Make(options, false); }

}  // namespace

std::vector<RingVariant> RingVariants() {
  return {{"Epoll", Precise, SocketHarness::Make}, {"EpollWait", Coarse, SocketHarness::Make}};
}

}  // namespace starling
