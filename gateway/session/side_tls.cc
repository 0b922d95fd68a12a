// TLS of a side: opening what it receives, sealing what it sends, whoever the peer is.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "gateway/session/side.h"

namespace starling {
namespace {

// One flight of the handshake: certificates with a long chain, or a hello with two key
// shares.
constexpr size_t kFlightRoom = 8192;
// An alert, or the answer to a KeyUpdate.
constexpr size_t kAnswerRoom = 512;
// So many of them wait for room at most; the library itself ends a flood of KeyUpdates.
constexpr size_t kMaxAnswers = 8 * kAnswerRoom;
constexpr size_t kMaxRecord = 16'384;
// More than one record's header, tag and padding.
constexpr size_t kRecordOverhead = 512;
// More than that of all records in a block, and the ticket that goes with the first.
constexpr size_t kSealOverhead = 1024;
// A reader has the longest line that it must see whole before so much is opened. With more
// there, nothing has to be moved to the front of the block for each short line it takes.
constexpr size_t kEnoughOpened = 16'384;
static_assert(kEnoughOpened >= std::max(kMaxWholeLine, kMinOutputRoom));
static_assert(kEnoughOpened < BufferPool::kBlockSize);
// A writer has room for the longest line, too.
static_assert(kMaxWholeLine + kSealOverhead <= BufferPool::kBlockSize);

}  // namespace

// --- Opening ---

// Notes where the end of the socket's data is that of a truncated TLS.
bool Side::MoreToOpen(SideResources& resources) {
  if (tls->inflow != TlsInflow::kOpen) return false;
  if (tls->pending || !RawInput(resources).empty()) return true;
  if (inflow == Inflow::kEnded) tls->inflow = TlsInflow::kTruncated;
  return false;
}

Opened Side::Open(SideResources& resources, std::span<uint8_t> room) {
  uint8_t answer[kAnswerRoom];
  TlsSession::Io io{.in = RawInput(resources), .consumed = 0, .out = answer, .written = 0};
  Opened opened;
  const TlsResult result = tls->session.Read(io, room, opened.octets);
  RawConsume(resources, io.consumed);
  opened.progress = opened.octets > 0 || io.consumed > 0;
  tls->spoken |= opened.octets > 0;
  tls->pending = result == TlsResult::kOk && opened.octets == room.size();
  if (result == TlsResult::kClosed) tls->inflow = TlsInflow::kEnded;
  if (result == TlsResult::kFailed || result == TlsResult::kNeedRoom) {
    tls->inflow = TlsInflow::kFailed;
  }
  KeepAnswers(resources, {answer, io.written});
  return opened;
}

// Behind what nobody has consumed, too: it may be a part of a line, whose rest comes in
// another record.
ByteView Side::OpenedInput(SideResources& resources) {
  Block& opened = tls->opened;
  while (opened.size() < kEnoughOpened && MoreToOpen(resources)) {
    const std::span<uint8_t> room = StashRoom(resources, opened, 1, RawInput(resources).size());
    if (room.empty()) break;  // what is there comes first
    const Opened more = Open(resources, room);
    opened.Append(more.octets);
    if (!more.progress) break;
  }
  ReleaseIfEmpty(resources, opened);
  return opened.view();
}

size_t Side::Waiting(SideResources& resources) {
  if (!secure()) return RawInput(resources).size();
  if (!tls->opened.empty()) return tls->opened.size();
  if (!MoreToOpen(resources)) return 0;
  return std::max<size_t>(RawInput(resources).size(), 1);
}

size_t Side::Take(SideResources& resources, std::span<uint8_t> room) {
  size_t taken = 0;
  // What was opened for a reader, or what comes in plaintext, is copied.
  const ByteView there = secure() ? tls->opened.view() : RawInput(resources);
  if (!there.empty()) {
    taken = std::min(there.size(), room.size());
    std::memcpy(room.data(), there.data(), taken);
    Consume(resources, taken);
  }
  if (!secure()) return taken;
  while (taken < room.size() && MoreToOpen(resources)) {
    const Opened more = Open(resources, room.subspan(taken));
    taken += more.octets;
    if (!more.progress) break;
  }
  return taken;
}

void Side::TimeRecord(MonoTime now, bool waits) {
  if (!secure()) return;
  const bool runs = waits && tls->inflow == TlsInflow::kOpen && inflow != Inflow::kEnded &&
                    tls->session.MidRecord();
  tls->record_at = runs ? std::min(tls->record_at, now) : kNever;
}

// --- What the library says by itself ---

// Records are numbered: none may be dropped, and none overtake another.
void Side::KeepAnswers(SideResources& resources, ByteView answers) {
  if (answers.empty() || outflow != Outflow::kOpen) return;
  if (tls->answers == nullptr) {
    const std::span<uint8_t> room = RoomIn(resources, out, answers.size());
    if (!room.empty()) {
      std::memcpy(room.data(), answers.data(), answers.size());
      out.Append(answers.size());
      return;
    }
    tls->answers = std::make_unique<std::string>();
  }
  tls->answers->append(reinterpret_cast<const char*>(answers.data()), answers.size());
  // A peer that makes us answer and reads nothing.
  if (tls->answers->size() > kMaxAnswers) tls->inflow = TlsInflow::kFailed;
}

// False: no room for them yet.
bool Side::SendAnswers(SideResources& resources) {
  if (tls->answers == nullptr) return true;
  const std::string& answers = *tls->answers;
  const std::span<uint8_t> room = RoomIn(resources, out, answers.size());
  if (room.empty()) return false;
  std::memcpy(room.data(), answers.data(), answers.size());
  out.Append(answers.size());
  tls->answers.reset();
  return true;
}

// --- Sealing ---

size_t Side::Seal(SideResources& resources, ByteView plain) {
  size_t sealed = 0;
  if (outflow != Outflow::kOpen || tls->close_notify != CloseNotify::kOpen ||
      !SendAnswers(resources)) {
    return 0;
  }
  while (sealed < plain.size()) {
    const ByteView rest = plain.subspan(sealed);
    const ByteView record = rest.first(std::min(rest.size(), kMaxRecord));
    // Room for one full record; less would split what was received at odd places.
    const std::span<uint8_t> room =
        RoomIn(resources, out, record.size() + kRecordOverhead, rest.size() + kSealOverhead);
    if (room.empty()) break;
    TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
    size_t taken = 0;
    const TlsResult result = tls->session.Write(io, record, taken);
    out.Append(io.written);
    sealed += taken;
    if (result == TlsResult::kFailed) BreakOutput(kSealFailed);
    if (result == TlsResult::kFailed || taken == 0) break;
  }
  ReleaseIfEmpty(resources, out);
  return sealed;
}

size_t Side::WriteRoom(SideResources& resources, size_t wanted) {
  if (!secure()) return RoomIn(resources, out, wanted).size();
  if (outflow == Outflow::kReset || !SendAnswers(resources)) return 0;
  std::span<uint8_t> room = RoomIn(resources, out, wanted + kSealOverhead);
  if (room.empty()) return 0;
  // A ticket that has not gone yet may be larger than the overhead: it goes now.
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  const TlsResult result = tls->session.SendTickets(io);
  out.Append(io.written);
  if (result == TlsResult::kFailed) BreakOutput(kSealFailed);
  if (result != TlsResult::kOk) return 0;
  if (io.written > 0) room = RoomIn(resources, out, wanted + kSealOverhead);
  return room.empty() ? 0 : room.size() - kSealOverhead;
}

Written Side::Write(SideResources& resources, ByteView text) {
  if (text.empty()) return Written::kAll;
  if (!secure()) {
    const std::span<uint8_t> room = RoomIn(resources, out, text.size());
    if (room.empty()) return Written::kNoRoom;
    std::memcpy(room.data(), text.data(), text.size());
    out.Append(text.size());
    return Written::kAll;
  }
  if (WriteRoom(resources, text.size()) == 0) {
    return send_failed() ? Written::kBroken : Written::kNoRoom;
  }
  const size_t sealed = Seal(resources, text);
  if (sealed == text.size()) return Written::kAll;
  // Half of a message must not be followed by the next.
  if (!send_failed()) BreakOutput(kSealShort);
  return Written::kBroken;
}

// --- Handshake and end ---

Side::HandshakeStep Side::Handshake(SideResources& resources) {
  assert(tls != nullptr && !tls->up);
  HandshakeStep step;
  const std::span<uint8_t> room = RoomIn(resources, out, kFlightRoom);
  tls->wants_room = room.empty();
  if (room.empty()) return step;
  TlsSession::Io io{.in = RawInput(resources), .consumed = 0, .out = room, .written = 0};
  step.result = tls->session.Handshake(io);
  step.consumed = io.consumed > 0;
  step.wrote = io.written > 0;
  RawConsume(resources, io.consumed);
  out.Append(io.written);
  ReleaseIfEmpty(resources, out);
  tls->wants_room = step.result == TlsResult::kNeedRoom;
  tls->up = step.result == TlsResult::kOk;
  return step;
}

void Side::SendAlert(SideResources& resources, uint8_t description) {
  const std::span<uint8_t> room = RoomIn(resources, out, kAnswerRoom);
  if (room.empty() || outflow != Outflow::kOpen) return;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  tls->session.SendAlert(io, description);
  out.Append(io.written);
  ReleaseIfEmpty(resources, out);
}

void Side::SendTickets(SideResources& resources) {
  const std::span<uint8_t> room = RoomIn(resources, out, kSealOverhead);
  if (room.empty()) return;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  tls->session.SendTickets(io);
  out.Append(io.written);
  ReleaseIfEmpty(resources, out);
}

void Side::SendCloseNotify(SideResources& resources) {
  if (!secure() || tls->close_notify == CloseNotify::kSent || outflow != Outflow::kOpen) return;
  tls->close_notify = CloseNotify::kDue;
  if (!SendAnswers(resources)) return;
  const std::span<uint8_t> room = RoomIn(resources, out, kRecordOverhead);
  if (room.empty()) return;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  const TlsResult result = tls->session.CloseNotify(io);
  out.Append(io.written);
  ReleaseIfEmpty(resources, out);
  // A session that failed has nothing more to say.
  if (result != TlsResult::kNeedRoom) tls->close_notify = CloseNotify::kSent;
}

}  // namespace starling
