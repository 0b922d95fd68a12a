#include "gateway/session/session_table.h"

#include <cassert>

namespace starling {

SessionTable::SessionTable(uint32_t sessions, uint32_t refusals)
    : most_sessions_(sessions),
      most_refusals_(refusals),
      size_(sessions + refusals + kLeavingSlots + kArrivingSlots),
      slots_(std::allocator<Session>().allocate(size_)) {
  free_.reserve(size_);  // not touched
}

SessionTable::~SessionTable() {
  std::destroy_n(slots_, made_);
  std::allocator<Session>().deallocate(slots_, size_);
}

uint32_t& SessionTable::CountOf(SlotUse use) {
  switch (use) {
    case SlotUse::kSession:
      break;
    case SlotUse::kRefusal:
      return refusals_;
    case SlotUse::kLeaving:
      return leaving_;
    case SlotUse::kArriving:
      return arriving_;
  }
  return sessions_;
}

Session* SessionTable::Begin(SlotUse use) {
  uint32_t slot = made_;
  if (free_.empty()) {
    assert(slot < size_);
    std::construct_at(slots_ + slot)->slot = slot;
    ++made_;
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  ++CountOf(use);
  slots_[slot].use = use;
  return &slots_[slot];
}

Session* SessionTable::Take() {
  return sessions_ < most_sessions_ ? Begin(SlotUse::kSession) : nullptr;
}

Session* SessionTable::TakeRefusal() {
  return refusals_ < most_refusals_ ? Begin(SlotUse::kRefusal) : nullptr;
}

Session* SessionTable::TakeArriving() {
  return arriving_ < kArrivingSlots ? Begin(SlotUse::kArriving) : nullptr;
}

void SessionTable::Settle(Session& session) {
  assert(session.use == SlotUse::kArriving && sessions_ < most_sessions_);
  --arriving_;
  ++sessions_;
  session.use = SlotUse::kSession;
}

void SessionTable::LetLeave(Session& session) {
  assert(session.use == SlotUse::kSession || session.use == SlotUse::kArriving);
  assert(MayLetLeave());
  --CountOf(session.use);
  ++leaving_;
  session.use = SlotUse::kLeaving;
}

void SessionTable::Free(Session& session) {
  assert(session.client.idle() && session.server.idle());
  const uint32_t slot = session.slot;
  // 0 is never a generation: a tag that was never filled in finds no session.
  uint32_t generation = session.generation + 1;
  if (generation == 0) generation = 1;
  --CountOf(session.use);
  session = Session();
  session.slot = slot;
  session.generation = generation;
  free_.push_back(slot);
}

Session* SessionTable::Find(uint32_t slot, uint32_t generation) {
  if (slot >= made_) return nullptr;
  Session& session = slots_[slot];
  if (session.free() || session.generation != generation) return nullptr;
  return &session;
}

}  // namespace starling
