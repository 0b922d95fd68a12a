// TLS within a leg to a server: opening what it receives, sealing what it sends. The
// steps above see a leg like any other.
//
// Not for: TLS with clients, which is opened and sealed where it is relayed, without a
// copy (relay.cc).
#include <algorithm>

#include "gateway/session/leg_io.h"
#include "protocols/ftp/limits.h"

namespace starling {
namespace {

// A client's hello with two key shares, and its last flight with a chain of its own.
constexpr size_t kHandshakeRoom = 8192;
// An alert, or the answer to a KeyUpdate.
constexpr size_t kReplyRoom = 512;
// So many of them wait for room at most; the library itself ends a flood of KeyUpdates.
constexpr size_t kMaxReplies = 8 * kReplyRoom;
constexpr size_t kMaxRecord = 16'384;
// A reader has the longest line that it must see whole before so much is opened. With more
// there, nothing has to be moved to the front of the block for each short line it takes.
constexpr size_t kEnoughOpened = 16'384;
static_assert(kEnoughOpened >= std::max(kFtpMaxLine, kMinOutputRoom));
static_assert(kEnoughOpened < BufferPool::kBlockSize);

void Wrote(Leg& leg, size_t octets) { leg.out.end += static_cast<uint32_t>(octets); }

// False: no room for them yet, and nothing may overtake them.
bool SendReplies(WorkerContext& ctx, Leg& leg) {
  std::string& reply = leg.tls->reply;
  if (reply.empty()) return true;
  const std::span<uint8_t> room = RoomIn(ctx, leg.out, reply.size());
  if (room.empty()) return false;
  std::ranges::copy(reply, room.begin());
  Wrote(leg, reply.size());
  reply.clear();
  return true;
}

// False: there was nothing to open, or no room.
bool OpenMore(WorkerContext& ctx, Leg& leg) {
  LegTls& tls = *leg.tls;
  const ByteView raw = RawInput(ctx, leg);
  if (raw.empty() && !tls.pending) {
    // Without close_notify it may be that somebody cut the rest off: no end of data, but
    // a leg that broke.
    tls.cut_off = tls.tcp_ended;
    return false;
  }
  const std::span<uint8_t> room = RoomIn(ctx, tls.in, 1, raw.size());
  if (room.empty()) return false;
  uint8_t reply[kReplyRoom];
  TlsSession::Io io{.in = raw, .consumed = 0, .out = reply, .written = 0};
  size_t got = 0;
  const TlsResult result = tls.tls.Read(io, room, got);
  RawConsume(ctx, leg, io.consumed);
  tls.in.end += static_cast<uint32_t>(got);
  tls.spoken |= got > 0;
  tls.reply.append(reinterpret_cast<const char*>(reply), io.written);
  tls.pending = result == TlsResult::kOk && got == room.size();
  if (result == TlsResult::kClosed) leg.end_of_data = true;
  tls.cut_off = result == TlsResult::kFailed || result == TlsResult::kNeedRoom ||
                tls.reply.size() > kMaxReplies;
  return got > 0 || io.consumed > 0;
}

}  // namespace

ByteView OpenedInput(WorkerContext& ctx, Leg& leg) {
  LegTls& tls = *leg.tls;
  // Behind what nobody has consumed, too: it may be a part of a line, whose rest comes in
  // another record.
  while (tls.in.end - tls.in.begin < kEnoughOpened && !leg.end_of_data && !tls.cut_off &&
         leg.recv_error == 0) {
    if (!OpenMore(ctx, leg)) break;
  }
  ReleaseIfEmpty(ctx, tls.in);
  // What came before the cut is read first.
  if (tls.cut_off && tls.in.empty() && leg.recv_error == 0) leg.recv_error = kLegTlsError;
  return tls.in.data == nullptr ? ByteView{} : tls.in.view();
}

void SealOutput(WorkerContext& ctx, Leg& leg) {
  LegTls& tls = *leg.tls;
  if (leg.send_error != 0 || !SendReplies(ctx, leg)) return;
  while (!tls.out.empty() && leg.send_error == 0) {
    const ByteView plain = tls.out.view();
    const size_t wanted = std::min<size_t>(plain.size(), kMaxRecord) + kReplyRoom;
    const std::span<uint8_t> room = RoomIn(ctx, leg.out, wanted, plain.size() + kReplyRoom);
    if (room.empty()) break;
    TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
    size_t taken = 0;
    const TlsResult result =
        tls.tls.Write(io, plain.first(std::min<size_t>(plain.size(), kMaxRecord)), taken);
    Wrote(leg, io.written);
    tls.out.begin += static_cast<uint32_t>(taken);
    if (result == TlsResult::kFailed) leg.send_error = kLegTlsError;
    if (taken == 0) break;
  }
  ReleaseIfEmpty(ctx, tls.out);
  ReleaseIfEmpty(ctx, leg.out);
}

bool SealClose(WorkerContext& ctx, Leg& leg) {
  const std::span<uint8_t> room = RoomIn(ctx, leg.out, kReplyRoom);
  if (room.empty()) return false;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  leg.tls->tls.CloseNotify(io);
  Wrote(leg, io.written);
  ReleaseIfEmpty(ctx, leg.out);
  leg.tls->close_notify_over = true;
  return true;
}

TlsResult StepLegHandshake(WorkerContext& ctx, Leg& leg) {
  const std::span<uint8_t> room = RoomIn(ctx, leg.out, kHandshakeRoom);
  if (room.empty()) return TlsResult::kNeedRoom;
  TlsSession::Io io{.in = RawInput(ctx, leg), .consumed = 0, .out = room, .written = 0};
  const TlsResult result = leg.tls->tls.Handshake(io);
  RawConsume(ctx, leg, io.consumed);
  Wrote(leg, io.written);
  ReleaseIfEmpty(ctx, leg.out);
  return result;
}

}  // namespace starling
