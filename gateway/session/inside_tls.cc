#include "gateway/session/inside_tls.h"

#include <algorithm>

#include "gateway/session/leg_io.h"
#include "gateway/session/report.h"

namespace starling {

bool OpenForDialogue(WorkerContext& ctx, Session& session, Inside& stage, ByteView& opened) {
  Block& block = session.dialogue->opened;
  while (!session.client_closed_tls) {
    const ByteView in = Input(ctx, session.down);
    if (in.empty() && !session.plain_pending) break;
    const std::span<uint8_t> room = RoomIn(ctx, block, 1);
    if (room.empty()) break;  // what is there comes first
    const OpenedRecord record = OpenRecord(ctx, session, in, room);
    block.end += static_cast<uint32_t>(record.octets);
    if (record.failed) {
      ReleaseBlock(ctx, block);
      return false;
    }
    if (!record.progress) break;
  }
  ReleaseIfEmpty(ctx, block);
  TimeRecord(ctx, session, stage.record_at);
  opened = block.data == nullptr ? ByteView{} : block.view();
  return true;
}

void ConsumeOpened(WorkerContext& ctx, Session& session, size_t octets) {
  if (octets == 0) return;
  Block& opened = session.dialogue->opened;
  opened.begin += static_cast<uint32_t>(octets);
  ReleaseIfEmpty(ctx, opened);
}

Next HandOver(WorkerContext& ctx, Session& session) {
  Block& opened = session.dialogue->opened;
  while (!opened.empty()) {
    const std::span<uint8_t> room = OutRoom(ctx, session.up, 1);
    if (room.empty()) {
      std::get<Inside>(session.stage).handing_over = true;
      return Stay();
    }
    const size_t octets = std::min<size_t>(room.size(), opened.end - opened.begin);
    std::copy_n(opened.data + opened.begin, octets, room.data());
    Produced(session.up, octets);
    ConsumeOpened(ctx, session, octets);
  }
  return Enter(StageId::kRelaying);
}

OpenedRecord OpenRecord(WorkerContext& ctx, Session& session, ByteView in,
                        std::span<uint8_t> room) {
  Leg& down = session.down;
  // Replies of the library itself: an alert, or the answer to a KeyUpdate.
  uint8_t reply[512];
  TlsSession::Io io{.in = in, .consumed = 0, .out = reply, .written = 0};
  OpenedRecord opened;
  const TlsResult result = session.tls.Read(io, room, opened.octets);
  Consume(ctx, down, io.consumed);
  if (io.written > 0 && !down.write_ended) {
    const std::span<uint8_t> out = OutRoom(ctx, down, io.written);
    if (!out.empty()) {
      std::copy_n(reply, io.written, out.data());
      Produced(down, io.written);
    }
  }
  session.plain_pending = result == TlsResult::kOk && opened.octets == room.size();
  opened.progress = opened.octets > 0 || io.consumed > 0;
  switch (result) {
    case TlsResult::kOk:
    case TlsResult::kNeedInput:
      break;
    case TlsResult::kClosed:
      session.client_closed_tls = true;
      NoteReason(session, EndReason::kClientClosed);
      break;
    case TlsResult::kNeedRoom:
    case TlsResult::kFailed:
      session.tls_failure = session.tls.failure();
      opened.failed = true;
  }
  return opened;
}

void TimeRecord(const WorkerContext& ctx, const Session& session, MonoTime& record_at) {
  const bool waits = session.tls_up && !session.client_closed_tls && !session.down.end_of_data &&
                     NothingToSend(session.up) && session.tls.MidRecord();
  record_at = waits ? std::min(record_at, ctx.now) : kNever;
}

}  // namespace starling
