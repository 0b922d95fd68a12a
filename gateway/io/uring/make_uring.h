// Makes the ring on io_uring: all that the rest of the program may know of this folder, beside the
// probe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/io/ring.h"

namespace starling::uring {

// As Ring::Create().
absl::StatusOr<std::unique_ptr<Ring>> MakeUring(const RingOptions& options);

// Octets of the queues, and of the lists of receive buffers, roughly.
uint64_t RingMemory(const RingOptions& options);

std::string LibraryVersion();  // "liburing 2.3"

}  // namespace starling::uring
