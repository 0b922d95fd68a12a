// Chooses between the ring on io_uring and the one on epoll, and says why.
//
// Not for: the simulated ring, which the linker puts in place of both (tests/sim).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/io/ring.h"

namespace starling {

enum class RingWanted : uint8_t { kAuto, kUring, kEpoll };

struct RingChoice {
  RingKind kind = RingKind::kUring;
  // Why: "available", "configured", or what keeps io_uring from serving ("seccomp", "sysctl",
  // "sandbox", "old_kernel", "memory_limit"). A label of a metric.
  std::string reason = "available";
  // Where epoll serves only because io_uring cannot: the cause and the remedy.
  std::string obstacle;
  std::string features = "none";  // of io_uring that the ring will use
};

// Tries what this process may do now, so call it after the change of user. `features`: as in
// RingOptions. An error where `wanted` rules epoll out, or where epoll would not help.
absl::StatusOr<RingChoice> ChooseRing(RingWanted wanted, const std::string& features);

struct Rings {
  RingChoice choice;
  std::vector<std::unique_ptr<Ring>> rings;
};

// Makes `count` rings. If the system denies io_uring memory for them, all of them are on epoll,
// unless `wanted` rules that out.
absl::StatusOr<Rings> MakeRings(RingWanted wanted, const RingChoice& choice, RingOptions options,
                                uint32_t count);

const char* NameOf(RingKind kind);  // "io_uring" or "epoll", as the option `io` has them
// One sentence for a person: which ring, with which features, or why not io_uring.
std::string ToString(const RingChoice& choice);

// Octets of a ring that newer kernels count as locked memory, roughly.
uint64_t LockedMemory(const RingOptions& options);
// Open files of the process that the tables of `rings` rings can take.
uint64_t OpenFilesOf(const RingOptions& options, uint32_t rings);

std::string RingLibraryVersion();  // "liburing 2.3"

}  // namespace starling
