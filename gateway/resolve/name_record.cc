#include "gateway/resolve/name_record.h"

#include <algorithm>

#include "gateway/limits.h"

namespace starling {
namespace {

std::chrono::milliseconds Clamp(uint64_t ms, const RefreshTimes& times) {
  return std::chrono::milliseconds(std::clamp<uint64_t>(ms, times.min_ms, times.max_ms));
}

}  // namespace

void NameRecord::Note(const Answer& answer, MonoTime now, const RefreshTimes& times) {
  looked_up_ = true;
  if (answer.result != LookupResult::kAnswer) return NoteNothing(answer, now, times);
  addresses_ = answer.addresses;
  left_out_ = answer.left_out;
  failures_ = 0;
  gone_since_ = kNever;
  due_ = now + Clamp(uint64_t{answer.ttl_s} * 1'000, times);
}

void NameRecord::NoteNothing(const Answer& answer, MonoTime now, const RefreshTimes& times) {
  // Half as often each time, up to a limit: a DNS server that is back is soon noticed.
  const uint32_t doublings = std::min(failures_++, kResolveDoublings);
  due_ = now + Clamp(uint64_t{kResolveRetryMs} << doublings, times);
  if (answer.result != LookupResult::kNoName && answer.result != LookupResult::kNoAddress) {
    gone_since_ = kNever;  // nobody knows any more
    return;
  }
  if (gone_since_ == kNever) gone_since_ = now;
  if (addresses_.empty()) return;
  const MonoTime until = gone_since_ + std::chrono::milliseconds(times.hold_ms);
  if (now >= until) {
    addresses_.clear();
    left_out_ = 0;
  } else {
    due_ = std::min(due_, std::max(until, now + std::chrono::milliseconds(times.min_ms)));
  }
}

}  // namespace starling
