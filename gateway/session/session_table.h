// The sessions of one worker: a slab of slots, made once. A few slots beyond the
// session limit are kept for connections that are only told why not.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/session/session.h"

namespace starling {

class SessionTable {
 public:
  SessionTable(uint32_t sessions, uint32_t refusals);

  // A slot for a session, or null when the limit is met.
  Session* Take();
  // A slot for a refusal, or null.
  Session* TakeRefusal();
  // The slot is free and its generation changed. Nothing of it is in flight.
  void Free(Session& session);

  // Null if the slot is free or has another generation: a stale completion.
  Session* Find(uint32_t slot, uint32_t generation);
  Session& At(uint32_t slot) { return slots_[slot]; }
  const Session& At(uint32_t slot) const { return slots_[slot]; }

  uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }
  uint32_t in_use() const { return in_use_; }
  // Slots of either kind: so many connections can at least be told why not.
  uint32_t available() const { return static_cast<uint32_t>(free_.size() + free_refusals_.size()); }
  bool full() const { return free_.empty(); }

 private:
  Session* Begin(std::vector<uint32_t>& free, bool refused);

  std::vector<Session> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> free_refusals_;
  uint32_t in_use_ = 0;
};

}  // namespace starling
