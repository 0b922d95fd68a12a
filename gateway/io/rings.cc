#include "gateway/io/rings.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gateway/io/epoll/epoll.h"
#include "gateway/io/uring/make_uring.h"
#include "gateway/io/uring/uring_probe.h"

namespace starling {
namespace {

constexpr uint32_t kMaxSlots = 1u << 24;

// The label of what keeps io_uring from serving; empty where epoll would be no remedy.
std::string LabelOf(uring::RingUnavailable unavailable) {
  switch (unavailable) {
    case uring::RingUnavailable::kOldKernel:
      return "old_kernel";
    case uring::RingUnavailable::kSysctl:
      return "sysctl";
    case uring::RingUnavailable::kSeccomp:
      return "seccomp";
    case uring::RingUnavailable::kSandbox:
      return "sandbox";
    case uring::RingUnavailable::kMemoryLimit:
      return "memory_limit";
    case uring::RingUnavailable::kNo:
    case uring::RingUnavailable::kOther:
      return "";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Ring>> MakeEpoll(const RingOptions& options) {
  auto ring = std::make_unique<epoll::EpollRing>(options);
  if (absl::Status made = ring->Init(); !made.ok()) return made;
  return ring;
}

absl::Status MakeAll(const RingOptions& options, uint32_t count,
                     std::vector<std::unique_ptr<Ring>>& rings) {
  for (uint32_t i = 0; i < count; ++i) {
    absl::StatusOr<std::unique_ptr<Ring>> ring = Ring::Create(options);
    if (!ring.ok()) return ring.status();
    rings.push_back(*std::move(ring));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ring>> Ring::Create(const RingOptions& options) {
  if (options.sessions == 0 || options.sessions >= kMaxSlots || options.accepts == 0) {
    return absl::InvalidArgumentError("a ring needs sessions (below 2^24) and accepts");
  }
  return options.kind == RingKind::kEpoll ? MakeEpoll(options) : uring::MakeUring(options);
}

absl::StatusOr<RingChoice> ChooseRing(RingWanted wanted, const std::string& features) {
  if (wanted == RingWanted::kEpoll) return RingChoice{RingKind::kEpoll, "configured", "", "none"};
  const uring::RingProbe probe = uring::ProbeRing();
  RingChoice choice;
  if (probe.unavailable == uring::RingUnavailable::kNo) {
    const absl::StatusOr<uring::RingFeatures> chosen = probe.features.Only(features);
    if (!chosen.ok()) return chosen.status();
    if (wanted == RingWanted::kUring) choice.reason = "configured";
    choice.features = chosen->ToString();
    return choice;
  }
  choice.reason = LabelOf(probe.unavailable);
  if (wanted == RingWanted::kUring || choice.reason.empty()) {
    return absl::UnavailableError(probe.message);
  }
  choice.kind = RingKind::kEpoll;
  choice.obstacle = probe.message;
  return choice;
}

absl::StatusOr<Rings> MakeRings(RingWanted wanted, const RingChoice& choice, RingOptions options,
                                uint32_t count) {
  Rings made{.choice = choice, .rings = {}};
  options.kind = choice.kind;
  absl::Status status = MakeAll(options, count, made.rings);
  if (absl::IsResourceExhausted(status) && choice.kind == RingKind::kUring &&
      wanted == RingWanted::kAuto) {
    made.rings.clear();
    options.kind = RingKind::kEpoll;
    made.choice = {RingKind::kEpoll, "memory_limit", std::string(status.message()), "none"};
    status = MakeAll(options, count, made.rings);
  }
  if (!status.ok()) return status;
  return made;
}

const char* NameOf(RingKind kind) { return kind == RingKind::kUring ? "io_uring" : "epoll"; }

std::string ToString(const RingChoice& choice) {
  if (choice.kind == RingKind::kUring) return "io_uring with features " + choice.features;
  if (choice.obstacle.empty()) return "epoll, as configured";
  return absl::StrCat("epoll (", choice.reason, "): ", choice.obstacle);
}

uint64_t LockedMemory(const RingOptions& options) {
  return options.kind == RingKind::kUring ? uring::RingMemory(options) : 0;
}

// The table of io_uring holds no files of the process, but each ring is bound by the same limit.
uint64_t OpenFilesOf(const RingOptions& options, uint32_t rings) {
  return options.kind == RingKind::kEpoll ? DescriptorTableSize(options) * rings : 0;
}

std::string RingLibraryVersion() { return uring::LibraryVersion(); }

}  // namespace starling
