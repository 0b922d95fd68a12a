// Sets up an io_uring instance: queues, descriptor table, restrictions. Uses
// io_uring_register directly where Debian's liburing lacks a function. Integer results
// are 0 or a negative errno.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gateway/io/ring.h"
#include "gateway/io/uring/uring_features.h"

namespace starling::uring {

// Entries of the two queues. Each session may have four requests in flight, but batches are far
// smaller. The kernel keeps completions that do not fit, and the ring counts them.
uint32_t SubmissionEntries(const RingOptions& options);
uint32_t CompletionEntries(const RingOptions& options);

// Makes a disabled ring. If the kernel refuses DEFER_TASKRUN, tries COOP_TASKRUN, then
// neither. `defer_taskrun` says whether to try it, and becomes whether the ring has it.
int SetUpQueues(uint32_t submissions, uint32_t completions, bool* defer_taskrun, io_uring* queue);

// Makes an empty descriptor table of `size`. For accepts, the kernel chooses indices from
// `first` to the end.
int RegisterTable(io_uring* queue, uint32_t size, uint32_t first);

// Restricts the ring to the gateway's operations once it is enabled. Once per ring.
int RegisterRestrictions(io_uring* queue, const RingFeatures& features);

// Registers the ring's own descriptor, which saves a look-up in each call. Returns its
// index, valid in the calling thread only, or a negative errno.
int RegisterRingDescriptor(io_uring* queue);
void UnregisterRingDescriptor(io_uring* queue, int index);

// Call in the thread that will submit.
int Enable(io_uring* queue);

// An error that says what failed, why, and which limit to raise (locked memory or open
// files).
absl::Status LimitError(const std::string& what, int error, uint64_t entries);

}  // namespace starling::uring
