// What is known of one name: its addresses, for how long they hold, and when to look it up again.
// Pure: the caller has the clock.
//
// Not for: asking (lookup.h), or what the addresses are good for (upstream/wanted_servers.h).
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/resolve/answer.h"

namespace starling {

struct RefreshTimes {
  uint32_t min_ms = 1'000;    // between two look-ups of a name
  uint32_t max_ms = 300'000;  // the same
  uint32_t hold_ms = 30'000;  // how long addresses stay that the name no longer has
};

class NameRecord {
 public:
  void Note(const Answer& answer, MonoTime now, const RefreshTimes& times);

  MonoTime due() const { return due_; }
  bool looked_up() const { return looked_up_; }  // at least once
  // Of the last good answer, as long as they hold.
  const std::vector<FoundAddress>& addresses() const { return addresses_; }
  size_t left_out() const { return left_out_; }

 private:
  void NoteNothing(const Answer& answer, MonoTime now, const RefreshTimes& times);

  std::vector<FoundAddress> addresses_;
  size_t left_out_ = 0;
  bool looked_up_ = false;
  uint32_t failures_ = 0;  // look-ups without addresses in a row
  MonoTime due_ = MonoTime::min();
  MonoTime gone_since_ = kNever;  // since then each look-up has found that there is no address
};

}  // namespace starling
