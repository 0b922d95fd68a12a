#include "protocols/ftp/ftp_queue.h"

#include <algorithm>
#include <iterator>

#include "protocols/ftp/ftp_wire.h"

namespace starling {

namespace {

static_assert(kFtpMaxOutstanding < UINT8_MAX && kFtpMaxRow <= UINT16_MAX);
static_assert(kFtpMaxOwnOutstanding + kFtpKeptForEnds < kFtpMaxOutstanding);

using Due = FtpQueue::Due;

bool IsPreliminary(int code) { return code / 100 == 1; }
bool IsSuccess(int code) { return code / 100 == 2; }
// Class "file system", for failures (RFC 959 section 4.2.1).
bool IsOfFiles(int code) { return code / 100 >= 4 && code / 10 % 10 == 5; }

bool IsPasv(Due due) { return due == Due::kPasv; }
bool IsEpsv(Due due) { return due == Due::kEpsv; }
bool IsQuit(Due due) { return due == Due::kQuit; }
bool IsCommand(Due due) { return due != Due::kOwn; }

// The replies that end a transfer after its 125 or 150 (RFC 959 section 5.4).
bool EndsTransfer(Due due, int code) {
  constexpr int kAll[] = {kFtpTransferDone, 250, 425, 426, 451};
  constexpr int kOfStores[] = {551, 552};
  if (std::ranges::find(kAll, code) != std::end(kAll)) return true;
  return due == Due::kStore && std::ranges::find(kOfStores, code) != std::end(kOfStores);
}

// Before its 125 or 150, any failure may be the transfer's, but no success except those.
bool MayAnswerTransfer(Due due, int code, bool begun) {
  if (begun || IsSuccess(code)) return EndsTransfer(due, code);
  return true;
}

// If a command may have stayed unanswered: whether the reply can be its own. A transfer
// that has not begun may fail, but cannot succeed before its 125 or 150.
bool MayAnswer(Due due, int code) {
  if (due == Due::kAny) return true;
  if (code / 100 == 3) return false;
  if (!IsSuccess(code)) return (due != Due::kNoop && due != Due::kPort) || !IsOfFiles(code);
  switch (due) {
    case Due::kNoop:
    case Due::kPort:
      return code == kFtpOk;
    case Due::kAbor:
    case Due::kAborted:
      return code == kFtpNoTransfer || code == kFtpTransferDone;
    case Due::kPasv:
      return code == kFtpPassive;
    case Due::kEpsv:
      return code == kFtpExtendedPassive;
    case Due::kQuit:
      return code == kFtpGoodbye;
    case Due::kFeat:
      return code == kFtpFeatures;
    default:
      return false;
  }
}

}  // namespace

bool FtpQueue::JoinsRow(Due due) const {
  if (!transfer_ || empty() || (due != Due::kNoop && due != Due::kAny)) return false;
  const Place& last = places_[size() - 1u];
  return last.due == due && last.amid && !last.doubtful && last.count < kFtpMaxRow;
}

bool FtpQueue::HasRoom(Due due) const {
  if (JoinsRow(due)) return true;
  if (due == Due::kAbor || due == Due::kQuit) return size() < kFtpMaxOutstanding;
  return size() < kFtpMaxOutstanding - kFtpKeptForEnds && own_ < kFtpMaxOwnOutstanding;
}

void FtpQueue::Push(const Place& place) { places_.Push(place); }

void FtpQueue::Push(Due due) {
  if (JoinsRow(due)) {
    ++places_[size() - 1u].count;
    return;
  }
  Push({.due = due, .amid = transfer_});
  if (!IsTransfer(due)) return;
  transfer_ = true;
  begun_ = false;
}

void FtpQueue::PushOwn(uint8_t reply) {
  Push({.due = Due::kOwn, .own = reply, .amid = transfer_});
  ++own_;
}

void FtpQueue::Begin() {
  transfer_ = begun_ = true;
  places_[0].doubtful = false;
  for (uint8_t i = 1; i < size(); ++i) places_[i].amid = true;
}

void FtpQueue::Pop() {
  if (places_[0].count == 1) return Skip();
  --places_[0].count;
}

void FtpQueue::Skip() {
  if (TransferIsHead() && !HeadIsDoubtful()) EndTransfer();
  Remove(0);
}

void FtpQueue::EndTransfer() {
  transfer_ = false;
  for (uint8_t i = 0; i < size(); ++i) places_[i].doubtful |= places_[i].amid;
}

void FtpQueue::Remove(size_t i) {
  if (places_[i].due == Due::kOwn) --own_;
  places_.Remove(i);
}

void FtpQueue::Split(size_t i) {
  places_.Double(i);
  places_[i].count = 1;
  --places_[i + 1].count;
}

std::optional<uint8_t> FtpQueue::TakeOwnAtHead() {
  if (empty() || head() != Due::kOwn) return std::nullopt;
  const uint8_t own = places_[0].own;
  Remove(0);
  return own;
}

bool FtpQueue::OnlyDoubtful() const {
  for (uint8_t i = 0; i < size(); ++i) {
    if (IsCommand(places_[i].due) && !places_[i].doubtful) return false;
  }
  return true;
}

std::optional<uint8_t> FtpQueue::TakeOwnBehindDoubtful() {
  if (own_ == 0 || !OnlyDoubtful()) return std::nullopt;
  uint8_t i = 0;
  while (places_[i].due != Due::kOwn) ++i;
  const uint8_t own = places_[i].own;
  Remove(i);
  return own;
}

void FtpQueue::MergeDoubtful() {
  Place all{.due = Due::kAny, .count = 0, .amid = true, .doubtful = true};
  for (uint8_t i = 0; i < size(); ++i) {
    all.count = static_cast<uint16_t>(std::min<size_t>(all.count + places_[i].count, kFtpMaxRow));
  }
  places_.Clear();
  Push(all);
}

void FtpQueue::GiveUpTransfer() {
  for (uint8_t i = 0; i < size(); ++i) {
    if (IsTransfer(places_[i].due)) places_[i] = {.due = Due::kAborted, .amid = true};
  }
  EndTransfer();
}

// The first place from `from` on that `wanted` accepts; `size()` if it accepts no place.
uint8_t FtpQueue::Find(bool (*wanted)(Due due), uint8_t from) const {
  while (from < size() && !wanted(places_[from].due)) ++from;
  return from;
}

uint8_t FtpQueue::PlaceOf(int code) const {
  uint8_t only = size();  // the only command that has such a reply
  if (code == kFtpPassive) only = Find(IsPasv, 0);
  if (code == kFtpExtendedPassive) only = Find(IsEpsv, 0);
  if (code == kFtpGoodbye) only = Find(IsQuit, 0);
  if (IsPreliminary(code)) only = Find(IsTransfer, 0);
  if (only < size()) return only;
  if (code == kFtpClosing || IsPreliminary(code)) return 0;
  const uint8_t next = Find(IsCommand, 1);
  if (next == size()) return 0;
  uint8_t place = 0;
  if (IsTransfer(head()) && !HeadIsDoubtful()) {
    if (MayAnswerTransfer(head(), code, begun_)) return 0;
    place = next;
  }
  // During a transfer, a failure belongs to the next command, whatever its code: the
  // transfer is not over yet.
  const auto may_be_skipped = [code](const Place& at) {
    return (at.doubtful || (at.amid && IsSuccess(code))) && !MayAnswer(at.due, code);
  };
  while (may_be_skipped(places_[place])) {
    const uint8_t later = Find(IsCommand, static_cast<uint8_t>(place + 1));
    if (later == size()) break;
    place = later;
  }
  return place;
}

uint8_t FtpQueue::Align(int code) {
  if (empty()) return 0;
  const uint8_t place = PlaceOf(code);
  if (place == 0 || !IsTransfer(head()) || HeadIsDoubtful()) return place;
  // The transfer's own reply comes later, after this one.
  const Place transfer = places_[0];
  if (places_[place].count > 1) Split(place);
  for (uint8_t i = 0; i < place; ++i) places_[i] = places_[i + 1];
  places_[place] = transfer;
  return static_cast<uint8_t>(place - 1);
}

std::optional<FtpQueue::Due> FtpQueue::Doubt(int code) {
  if (empty() || !HeadIsDoubtful() || IsPreliminary(code)) return std::nullopt;
  uint8_t i = 1;
  while (i < size() && (places_[i].doubtful || !IsCommand(places_[i].due))) ++i;
  // A server can refuse any command with any code.
  if (i == size() || (code / 100 < 4 && !MayAnswer(places_[i].due, code))) return std::nullopt;
  places_[i].doubtful = true;
  if (IsTransfer(places_[i].due)) transfer_ = false;
  return places_[i].due;
}

}  // namespace starling
