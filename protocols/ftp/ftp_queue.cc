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
// "File system": of the failures that concern a file (RFC 959 section 4.2.1).
bool IsOfFiles(int code) { return code / 100 >= 4 && code / 10 % 10 == 5; }

bool IsPasv(Due due) { return due == Due::kPasv; }
bool IsEpsv(Due due) { return due == Due::kEpsv; }
bool IsQuit(Due due) { return due == Due::kQuit; }
bool IsCommand(Due due) { return due != Due::kOwn; }

// RFC 959 section 5.4 of the commands that use a data connection, from 125 or 150 on.
bool EndsTransfer(Due due, int code) {
  constexpr int kAll[] = {kFtpTransferDone, 250, 425, 426, 451};
  constexpr int kOfStores[] = {551, 552};
  if (std::ranges::find(kAll, code) != std::end(kAll)) return true;
  return due == Due::kStore && std::ranges::find(kOfStores, code) != std::end(kOfStores);
}

// Before that any failure may be the transfer's, and of successes those alone.
bool MayAnswerTransfer(Due due, int code, bool begun) {
  if (begun || IsSuccess(code)) return EndsTransfer(due, code);
  return true;
}

// Where a command may have stayed unanswered: whether the reply can be its own. A transfer that
// has not begun may fail, but it does not succeed before its 125 or 150.
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
  const Place& last = At(size_ - 1u);
  return last.due == due && last.amid && !last.doubtful && last.count < kFtpMaxRow;
}

bool FtpQueue::HasRoom(Due due) const {
  if (JoinsRow(due)) return true;
  if (due == Due::kAbor || due == Due::kQuit) return size_ < kFtpMaxOutstanding;
  return size_ < kFtpMaxOutstanding - kFtpKeptForEnds && own_ < kFtpMaxOwnOutstanding;
}

void FtpQueue::Push(const Place& place) {
  At(size_) = place;
  ++size_;
}

void FtpQueue::Push(Due due) {
  if (JoinsRow(due)) {
    ++At(size_ - 1u).count;
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
  At(0).doubtful = false;
  for (uint8_t i = 1; i < size_; ++i) At(i).amid = true;
}

void FtpQueue::Pop() {
  if (At(0).count == 1) return Skip();
  --At(0).count;
}

void FtpQueue::Skip() {
  if (TransferIsHead() && !HeadIsDoubtful()) EndTransfer();
  Remove(0);
}

void FtpQueue::EndTransfer() {
  transfer_ = false;
  for (uint8_t i = 0; i < size_; ++i) At(i).doubtful |= At(i).amid;
}

void FtpQueue::Remove(size_t i) {
  if (At(i).due == Due::kOwn) --own_;
  for (; i > 0; --i) At(i) = At(i - 1);
  head_ = static_cast<uint8_t>((head_ + 1) % places_.size());
  --size_;
}

void FtpQueue::Split(size_t i) {
  for (size_t later = size_; later > i; --later) At(later) = At(later - 1);
  ++size_;
  At(i).count = 1;
  --At(i + 1).count;
}

std::optional<uint8_t> FtpQueue::TakeOwnAtHead() {
  if (empty() || head() != Due::kOwn) return std::nullopt;
  const uint8_t own = At(0).own;
  Remove(0);
  return own;
}

bool FtpQueue::OnlyDoubtful() const {
  for (uint8_t i = 0; i < size_; ++i) {
    if (IsCommand(At(i).due) && !At(i).doubtful) return false;
  }
  return true;
}

std::optional<uint8_t> FtpQueue::TakeOwnBehindDoubtful() {
  if (own_ == 0 || !OnlyDoubtful()) return std::nullopt;
  uint8_t i = 0;
  while (At(i).due != Due::kOwn) ++i;
  const uint8_t own = At(i).own;
  Remove(i);
  return own;
}

void FtpQueue::MergeDoubtful() {
  Place all{.due = Due::kAny, .count = 0, .amid = true, .doubtful = true};
  for (uint8_t i = 0; i < size_; ++i) {
    all.count = static_cast<uint16_t>(std::min<size_t>(all.count + At(i).count, kFtpMaxRow));
  }
  size_ = 0;
  Push(all);
}

void FtpQueue::GiveUpTransfer() {
  for (uint8_t i = 0; i < size_; ++i) {
    if (IsTransfer(At(i).due)) At(i) = {.due = Due::kAborted, .amid = true};
  }
  EndTransfer();
}

// The first place from `from` on that `wanted` accepts; `size_` if it accepts no place.
uint8_t FtpQueue::Find(bool (*wanted)(Due due), uint8_t from) const {
  while (from < size_ && !wanted(At(from).due)) ++from;
  return from;
}

uint8_t FtpQueue::PlaceOf(int code) const {
  uint8_t only = size_;  // the one command that has such a reply
  if (code == kFtpPassive) only = Find(IsPasv, 0);
  if (code == kFtpExtendedPassive) only = Find(IsEpsv, 0);
  if (code == kFtpGoodbye) only = Find(IsQuit, 0);
  if (IsPreliminary(code)) only = Find(IsTransfer, 0);
  if (only < size_) return only;
  if (code == kFtpClosing || IsPreliminary(code)) return 0;
  const uint8_t next = Find(IsCommand, 1);
  if (next == size_) return 0;
  uint8_t place = 0;
  if (IsTransfer(head()) && !HeadIsDoubtful()) {
    if (MayAnswerTransfer(head(), code, begun_)) return 0;
    place = next;
  }
  // Amid a transfer a failure is the next command's, whatever its code: it is not over yet.
  const auto may_be_skipped = [code](const Place& at) {
    return (at.doubtful || (at.amid && IsSuccess(code))) && !MayAnswer(at.due, code);
  };
  while (may_be_skipped(At(place))) {
    const uint8_t later = Find(IsCommand, static_cast<uint8_t>(place + 1));
    if (later == size_) break;
    place = later;
  }
  return place;
}

uint8_t FtpQueue::Align(int code) {
  if (empty()) return 0;
  const uint8_t place = PlaceOf(code);
  if (place == 0 || !IsTransfer(head()) || HeadIsDoubtful()) return place;
  // The transfer's own reply is still to come, behind this one.
  const Place transfer = At(0);
  if (At(place).count > 1) Split(place);
  for (uint8_t i = 0; i < place; ++i) At(i) = At(i + 1);
  At(place) = transfer;
  return static_cast<uint8_t>(place - 1);
}

std::optional<FtpQueue::Due> FtpQueue::Doubt(int code) {
  if (empty() || !HeadIsDoubtful() || IsPreliminary(code)) return std::nullopt;
  uint8_t i = 1;
  while (i < size_ && (At(i).doubtful || !IsCommand(At(i).due))) ++i;
  // Any command can be refused in any way.
  if (i == size_ || (code / 100 < 4 && !MayAnswer(At(i).due, code))) return std::nullopt;
  At(i).doubtful = true;
  if (IsTransfer(At(i).due)) transfer_ = false;
  return At(i).due;
}

}  // namespace starling
