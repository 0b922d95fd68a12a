// Makes and arms an io_uring instance: queues, descriptor table, restrictions.
// Calls that Debian's liburing lacks are made by io_uring_register directly.
// All return 0 or a negative errno.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gateway/io/ring.h"

namespace starling::uring {

// A disabled ring. Steps down from DEFER_TASKRUN to COOP_TASKRUN to neither
// where the kernel refuses; `defer_taskrun` says what is wanted and becomes what
// there is.
int SetUpQueues(uint32_t submissions, uint32_t completions, bool* defer_taskrun, io_uring* queue);

// An empty descriptor table of `size`; indices that the kernel chooses (accepts)
// are taken from `first` to its end.
int RegisterTable(io_uring* queue, uint32_t size, uint32_t first);

// Only what the gateway submits, from when the ring is enabled. Once a ring.
int RegisterRestrictions(io_uring* queue, const RingFeatures& features);

// Saves a look-up of the ring's descriptor in each call; its index, valid in the
// calling thread only.
int RegisterRingDescriptor(io_uring* queue);
void UnregisterRingDescriptor(io_uring* queue, int index);

// In the thread that will submit.
int Enable(io_uring* queue);

// The memory lock and open file limits for messages: what failed, why, and the
// limit that has to be raised.
absl::Status LimitError(const std::string& what, int error, uint64_t entries);

}  // namespace starling::uring
