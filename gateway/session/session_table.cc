#include "gateway/session/session_table.h"

#include <cassert>
#include <utility>

namespace starling {

SessionTable::SessionTable(uint32_t sessions, uint32_t refusals) : slots_(sessions + refusals) {
  free_.reserve(sessions);
  free_refusals_.reserve(refusals);
  // Lowest slots are taken first, so that a quiet worker touches little memory.
  for (uint32_t slot = sessions + refusals; slot-- > 0;) {
    slots_[slot].slot = slot;
    (slot < sessions ? free_ : free_refusals_).push_back(slot);
  }
}

Session* SessionTable::Begin(std::vector<uint32_t>& free, bool refused) {
  if (free.empty()) return nullptr;
  Session& session = slots_[free.back()];
  free.pop_back();
  ++in_use_;
  session.refused = refused;
  return &session;
}

Session* SessionTable::Take() { return Begin(free_, false); }
Session* SessionTable::TakeRefusal() { return Begin(free_refusals_, true); }

void SessionTable::Free(Session& session) {
  assert(session.client.idle() && session.server.idle());
  const uint32_t slot = session.slot;
  // 0 is never a generation: a tag that was never filled in finds no session.
  uint32_t generation = session.generation + 1;
  if (generation == 0) generation = 1;
  const bool refused = session.refused;
  session = Session();
  session.slot = slot;
  session.generation = generation;
  --in_use_;
  (refused ? free_refusals_ : free_).push_back(slot);
}

Session* SessionTable::Find(uint32_t slot, uint32_t generation) {
  if (slot >= slots_.size()) return nullptr;
  Session& session = slots_[slot];
  if (session.free() || session.generation != generation) return nullptr;
  return &session;
}

}  // namespace starling
