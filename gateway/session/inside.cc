// The client's octets for a negotiator inside TLS: they are opened for it, and what it
// leaves unread when it says kRelay goes to the server.
//
// Not for: what the negotiator decides, and the server's octets, which are dialogue.cc's;
// nor the relay, where nothing is read and nothing copied twice.
#include <algorithm>

#include "gateway/session/steps.h"

namespace starling {

ByteView InsideInput(WorkerContext& ctx, Session& session) {
  Block& opened = session.dialogue->opened;
  while (!session.client_closed_tls) {
    const ByteView in = Input(ctx, session.down);
    if (in.empty() && !session.plain_pending) break;
    const std::span<uint8_t> room = RoomIn(ctx, opened, 1);
    if (room.empty()) break;  // what is there comes first
    const OpenedRecord record = OpenRecord(ctx, session, in, room);
    opened.end += static_cast<uint32_t>(record.octets);
    if (record.failed) {
      ReleaseBlock(ctx, opened);
      return {};
    }
    if (!record.progress) break;
  }
  ReleaseIfEmpty(ctx, opened);
  TimeRecord(ctx, session);
  return opened.data == nullptr ? ByteView{} : opened.view();
}

void ConsumeInside(WorkerContext& ctx, Session& session, size_t octets) {
  if (octets == 0) return;
  Block& opened = session.dialogue->opened;
  opened.begin += static_cast<uint32_t>(octets);
  ReleaseIfEmpty(ctx, opened);
}

bool HandOver(WorkerContext& ctx, Session& session) {
  session.dialogue->handing_over = true;
  Block& opened = session.dialogue->opened;
  while (!opened.empty()) {
    const std::span<uint8_t> room = OutRoom(ctx, session.up, 1);
    if (room.empty()) return false;
    const size_t octets = std::min<size_t>(room.size(), opened.end - opened.begin);
    std::copy_n(opened.data + opened.begin, octets, room.data());
    Produced(session.up, octets);
    ConsumeInside(ctx, session, octets);
  }
  StartRelay(ctx, session);
  return true;
}

}  // namespace starling
