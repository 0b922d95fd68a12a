#include "gateway/session/half_pipe.h"

namespace starling {

void HalfPipe::Move() {
  if (to_.secure()) {
    Seal();
  } else {
    Copy();
  }
  ReleaseIfEmpty(resources_, to_.out);
}

// Opened, or copied, into what the sink sends.
void HalfPipe::Copy() {
  while (const size_t waiting = from_.Waiting(resources_)) {
    const std::span<uint8_t> room = to_.OutRoom(resources_, 1, waiting);
    if (room.empty()) return;
    const size_t taken = from_.Take(resources_, room);
    to_.out.Append(taken);
    if (taken < room.size()) return;  // that was all
  }
}

void HalfPipe::Seal() {
  for (;;) {
    const ByteView plain = from_.Input(resources_);
    if (plain.empty()) return;
    const size_t sealed = to_.Seal(resources_, plain);
    from_.Consume(resources_, sealed);
    if (sealed < plain.size()) return;  // no room, or broken
  }
}

bool HalfPipe::MayReceive() const {
  if (to_.failed() || to_.out.data != nullptr || !from_.in.empty()) return false;
  return from_.tls == nullptr || (!from_.tls->pending && from_.tls->opened.empty());
}

void HalfPipe::Drop() {
  from_.DropInput(resources_);
  to_.DropOutput(resources_);
}

void HalfPipe::PassOnEnd(SessionRef session, bool whole, bool by_close) {
  if (whole) to_.SendCloseNotify(resources_);
  if (!by_close) to_.EndOutput(resources_, session);  // again when all has been sent
}

bool HalfPipe::Over(bool whole, bool by_close) const {
  if (to_.failed()) return !to_.has(kOpSend);
  if (!EndSaid(whole) || to_.has(kOpShutdown)) return false;
  return to_.write_ended() || (by_close && to_.flushed());
}

}  // namespace starling
