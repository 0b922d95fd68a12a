// The sessions of one worker: a slab of slots, each made when it is used for the first time. A few
// slots beyond the session limit are kept for connections that are only told why not, for sessions
// that gave way to others, and for clients of a load balancer that arrive while the table is full.
//
// Not for: who may have a session (places.h, crowding.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/limits.h"
#include "gateway/session/session.h"

namespace starling {

class SessionTable {
 public:
  SessionTable(uint32_t sessions, uint32_t refusals);
  ~SessionTable();
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // A slot for a session, or null when the limit is met.
  Session* Take();
  // A slot for a refusal, or null.
  Session* TakeRefusal();
  // A slot for one that arrives, or null.
  Session* TakeArriving();
  // One that arrives becomes a session. The session limit is not met.
  void Settle(Session& session);
  // The session is one no more: another may be taken, before its slot is free.
  void LetLeave(Session& session);
  bool MayLetLeave() const { return leaving_ < kLeavingSlots; }
  // The slot is free and its generation changed. Nothing of it is in flight.
  void Free(Session& session);

  // Null if the slot is free or has another generation: a stale completion.
  Session* Find(uint32_t slot, uint32_t generation);
  // Of a slot below made().
  Session& At(uint32_t slot) { return slots_[slot]; }
  const Session& At(uint32_t slot) const { return slots_[slot]; }

  uint32_t size() const { return size_; }
  // Slots from here on were never used, and take no memory.
  uint32_t made() const { return made_; }
  uint32_t in_use() const { return sessions_ + refusals_ + leaving_ + arriving_; }
  uint32_t leaving() const { return leaving_; }

 private:
  Session* Begin(SlotUse use);
  uint32_t& CountOf(SlotUse use);

  const uint32_t most_sessions_;
  const uint32_t most_refusals_;
  const uint32_t size_;
  Session* const slots_;
  uint32_t made_ = 0;
  std::vector<uint32_t> free_;  // of those that were made
  uint32_t sessions_ = 0;
  uint32_t refusals_ = 0;
  uint32_t leaving_ = 0;
  uint32_t arriving_ = 0;
};

}  // namespace starling
