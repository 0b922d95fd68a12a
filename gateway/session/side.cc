// What a side has received and has to send, and its requests to the ring.
#include "gateway/session/side.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace starling {
namespace {

// After a receive that a small buffer was too small for, so many use large ones:
// messages of a few KiB each would otherwise take two receives each time.
constexpr uint8_t kLargeReceives = 8;

static_assert(BufferPool::kBlockSize > kLargeReceive / 2 &&
              BufferPool::kBulkBlockSize > kLargeReceive);
static_assert(kLargeReceive <= UINT16_MAX);

// As much as can be passed on at once: without a large block one record.
uint32_t BulkReceive(const SideResources& resources) {
  const BufferPool& bulk = resources.bulk_pool;
  return bulk.in_use() < bulk.limit() ? kLargeReceive : kLargeReceive / 2;
}

// An operation that ended so has not failed; it is asked for again.
bool IsTransient(int32_t result) {
  return result == -ECANCELED || result == -EAGAIN || result == -EINTR;
}

}  // namespace

bool Side::ended() const {
  return secure() ? tls->inflow == TlsInflow::kEnded : inflow == Inflow::kEnded;
}

bool Side::cut_off() const {
  return tls != nullptr && tls->opened.empty() &&
         (tls->inflow == TlsInflow::kTruncated || tls->inflow == TlsInflow::kFailed);
}

bool Side::input_over() const {
  if (receive_failed()) return true;
  if (secure()) return tls->inflow != TlsInflow::kOpen && tls->opened.empty();
  return inflow == Inflow::kEnded && in.empty() && chunk == kNoBuffer;
}

bool Side::nothing_to_send() const {
  return out.empty() &&
         (tls == nullptr || (tls->answers == nullptr && tls->close_notify != CloseNotify::kDue));
}

// --- Input ---

ByteView Side::Input(SideResources& resources) {
  return secure() ? OpenedInput(resources) : RawInput(resources);
}

void Side::Consume(SideResources& resources, size_t octets) {
  if (octets == 0) return;
  if (!secure()) return RawConsume(resources, octets);
  tls->opened.TakeFront(octets);
  ReleaseIfEmpty(resources, tls->opened);
}

ByteView Side::RawInput(SideResources& resources) {
  if (!in.empty()) {
    // The receive was asked for what fits; but a larger block may have to be waited for.
    if (chunk != kNoBuffer) StashChunk(resources);
    return in.view();
  }
  if (chunk == kNoBuffer) return {};
  return resources.ring->Buffer(chunk).subspan(chunk_begin, chunk_size());
}

void Side::RawConsume(SideResources& resources, size_t octets) {
  if (octets == 0) return;
  if (!in.empty()) {
    in.TakeFront(octets);
    ReleaseIfEmpty(resources, in);
    return;
  }
  assert(chunk != kNoBuffer && octets <= chunk_size());
  chunk_begin = static_cast<uint16_t>(chunk_begin + octets);
  if (chunk_size() == 0) ReturnChunk(resources);
}

void Side::DropInput(SideResources& resources) {
  if (chunk != kNoBuffer) ReturnChunk(resources);
  ReleaseBlock(resources, in);
  if (tls == nullptr) return;
  ReleaseBlock(resources, tls->opened);
  tls->pending = false;
}

void Side::ReturnChunk(SideResources& resources) {
  resources.ring->ReturnBuffer(chunk);
  chunk = kNoBuffer;
}

bool Side::StashChunk(SideResources& resources) {
  if (chunk == kNoBuffer) return true;
  const uint32_t size = chunk_size();
  const std::span<uint8_t> room = StashRoom(resources, in, size);
  if (room.empty()) return false;
  std::memcpy(room.data(), resources.ring->Buffer(chunk).data() + chunk_begin, size);
  in.Append(size);
  ReturnChunk(resources);
  return true;
}

// --- Output ---

void Side::DropOutput(SideResources& resources) {
  if (!has(kOpSend)) ReleaseBlock(resources, out);
  if (tls == nullptr) return;
  tls->answers.reset();
  if (tls->close_notify == CloseNotify::kDue) tls->close_notify = CloseNotify::kOpen;
}

void Side::BreakOutput(int16_t error) {
  if (outflow == Outflow::kReset) return;  // the first error is the cause
  outflow = Outflow::kReset;
  send_error = error;
}

// --- The ring ---

void Side::Receive(SideResources& resources, SessionRef session) {
  if (!MayAsk() || has(kOpRecv) || inflow != Inflow::kOpen || starved || chunk != kNoBuffer) return;
  const BufferGroup group = large > 0 ? BufferGroup::kLarge : BufferGroup::kSmall;
  uint32_t max = large > 0 ? BulkReceive(resources) : kSmallReceive;
  if (!in.empty()) max = std::min(max, MostStashed(in) - in.size());
  if (max == 0) return;
  in_flight |= kOpRecv;
  resources.ring->Recv(fd, group, max, TagOf(Op::kRecv, session));
}

void Side::Send(SideResources& resources, SessionRef session) {
  if (secure()) {
    SendAnswers(resources);
    if (tls->close_notify == CloseNotify::kDue) SendCloseNotify(resources);
  }
  if (!MayAsk() || has(kOpSend) || out.empty() || outflow != Outflow::kOpen) return;
  in_flight |= kOpSend;
  if (acknowledge == Acknowledge::kUnlessSent) acknowledge = Acknowledge::kNo;
  out.in_flight = static_cast<uint16_t>(out.size());
  resources.ring->Send(fd, out.view(), TagOf(Op::kSend, session));
}

void Side::Peek(SideResources& resources, SessionRef session) {
  assert(open() && !has(kOpRecv | kOpPeek | kOpCancel));
  in_flight |= kOpPeek;
  resources.ring->Peek(fd, TagOf(Op::kPeek, session));
}

void Side::CheckWhole(SideResources& resources, SessionRef session) {
  if (!MayAsk() || has(kOpRecv | kOpSend) || outflow != Outflow::kOpen) return;
  in_flight |= kOpSend;
  resources.ring->Send(fd, {}, TagOf(Op::kSend, session));
}

void Side::EndOutput(SideResources& resources, SessionRef session) {
  if (!MayAsk() || outflow != Outflow::kOpen || !flushed()) return;
  outflow = Outflow::kEnded;
  in_flight |= kOpShutdown;
  resources.ring->ShutdownWrite(fd, TagOf(Op::kShutdown, session));
}

void Side::AcknowledgeNow(SideResources& resources) {
  if (acknowledge == Acknowledge::kNo || !flushed()) return;
  acknowledge = Acknowledge::kNo;
  if (tcp && open() && !has(kOpOpen | kOpClose)) resources.ring->Acknowledge(fd);
}

void Side::Cancel(SideResources& resources, SessionRef session) {
  if (!open() || has(kOpCancel)) return;
  in_flight |= kOpCancel;
  resources.ring->Cancel(fd, TagOf(Op::kCancel, session));
}

void Side::Close(SideResources& resources, SessionRef session) {
  if (!open() || has(kOpClose)) return;
  in_flight |= kOpClose;
  resources.ring->CancelAndClose(fd, TagOf(Op::kClose, session));
}

void Side::Finished(SideOp op) {
  assert(has(op));
  in_flight &= static_cast<uint8_t>(~op);
}

void Side::Opening(Fd index) {
  assert(!open());
  fd = index;
  in_flight |= kOpOpen;
  out.in_flight = static_cast<uint16_t>(out.size());
}

void Side::Connected(SideResources& resources, const Completion& completion) {
  Finished(kOpOpen);
  if (completion.result == 0) {
    octets_out += out.in_flight;
  } else {
    fd = kNoFd;  // the ring has freed it
    BreakOutput(static_cast<int16_t>(-completion.result));
  }
  out.in_flight = 0;
  ReleaseBlock(resources, out);
}

int Side::TakeOpenError() {
  if (!send_failed()) return 0;
  outflow = Outflow::kOpen;
  return std::exchange(send_error, int16_t{0});
}

void Side::Received(const Completion& completion) {
  Finished(kOpRecv);
  const int32_t n = completion.result;
  if (n > 0) {
    assert(chunk == kNoBuffer);
    chunk = completion.buffer;
    chunk_begin = 0;
    chunk_end = static_cast<uint16_t>(n);
    octets_in += static_cast<uint32_t>(n);
    heard = true;
    if (completion.more || n >= static_cast<int32_t>(kSmallReceive)) {
      large = kLargeReceives;
    } else if (large > 0) {
      --large;
    }
  } else if (n == 0) {
    inflow = Inflow::kEnded;
  } else if (n == -ENOBUFS) {
    starved = true;
  } else if (!IsTransient(n)) {
    inflow = Inflow::kReset;
    recv_error = static_cast<int16_t>(-n);
  }
}

void Side::Sent(SideResources& resources, const Completion& completion) {
  Finished(kOpSend);
  const bool checked = std::exchange(out.in_flight, uint16_t{0}) == 0;  // CheckWhole()
  const int32_t n = completion.result;
  // EPIPE: the peer has ended its data and closed. What it said is still to be passed on.
  if (checked && (n == 0 || n == -EPIPE)) return;
  if (n > 0) {
    out.TakeFront(static_cast<size_t>(n));
    octets_out += static_cast<uint32_t>(n);
    ReleaseIfEmpty(resources, out);
  } else if (!IsTransient(n)) {
    BreakOutput(static_cast<int16_t>(n == 0 ? EPIPE : -n));
  }
}

void Side::Peeked(const Completion& completion) {
  Finished(kOpPeek);
  if (completion.result == 0) {
    inflow = Inflow::kEnded;
  } else if (completion.result < 0 && completion.result != -EAGAIN) {
    inflow = Inflow::kReset;
    recv_error = static_cast<int16_t>(-completion.result);
  }
}

void Side::Closed() {
  Finished(kOpClose);
  fd = kNoFd;
}

void Side::Forget(SideResources& resources) {
  assert(idle() && !open());
  DropInput(resources);
  DropOutput(resources);
  Side fresh;
  fresh.socket = socket;
  fresh.octets_in = octets_in;
  fresh.octets_out = octets_out;
  *this = std::move(fresh);
}

}  // namespace starling
