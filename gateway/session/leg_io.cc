#include "gateway/session/leg_io.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace starling {
namespace {

// Takes a block if there is none, for `octets` where one so large can be had. False:
// the pool's limit is met.
bool EnsureBlock(WorkerContext& ctx, Block& block, size_t octets) {
  if (block.data != nullptr) return true;
  block = Block();
  if (octets > block.capacity()) {
    block.data = ctx.bulk_pool.Take();
    block.bulk = block.data != nullptr;
  }
  if (block.data == nullptr) block.data = ctx.pool.Take();
  if (block.data == nullptr) ctx.out_of_blocks = true;
  return block.data != nullptr;
}

void MoveToFront(Block& block) {
  if (block.begin == 0) return;
  assert(block.in_flight == 0);
  std::memmove(block.data, block.data + block.begin, block.end - block.begin);
  block.end -= block.begin;
  block.begin = 0;
}

uint32_t ChunkSize(const Leg& leg) { return leg.chunk_end - leg.chunk_begin; }

void ReturnChunk(WorkerContext& ctx, Leg& leg) {
  ctx.ring->ReturnBuffer(leg.chunk);
  leg.chunk = kNoBuffer;
}

// As much as can be passed on at once, for want of a large block in one record.
uint32_t BulkReceive(const WorkerContext& ctx) {
  return ctx.bulk_pool.in_use() < ctx.bulk_pool.limit() ? kLargeReceive : kLargeReceive / 2;
}

Tag MakeTag(const Session& session, Op op) { return Tag{op, session.slot, session.generation}; }

}  // namespace

ByteView Input(WorkerContext& ctx, Leg& leg) {
  return leg.tls == nullptr ? RawInput(ctx, leg) : OpenedInput(ctx, leg);
}

ByteView RawInput(WorkerContext& ctx, Leg& leg) {
  if (!leg.in.empty()) {
    // The receive was armed for the room there is, so this fits.
    if (leg.chunk != kNoBuffer) StashChunk(ctx, leg);
    return leg.in.view();
  }
  if (leg.chunk == kNoBuffer) return {};
  return ctx.ring->Buffer(leg.chunk).subspan(leg.chunk_begin, ChunkSize(leg));
}

void Consume(WorkerContext& ctx, Leg& leg, size_t octets) {
  if (leg.tls == nullptr) {
    RawConsume(ctx, leg, octets);
  } else if (octets > 0) {
    Block& opened = leg.tls->in;
    assert(octets <= opened.end - opened.begin);
    opened.begin += static_cast<uint32_t>(octets);
    ReleaseIfEmpty(ctx, opened);
  }
}

void RawConsume(WorkerContext& ctx, Leg& leg, size_t octets) {
  if (octets == 0) return;
  if (!leg.in.empty()) {
    assert(octets <= leg.in.end - leg.in.begin);
    leg.in.begin += static_cast<uint32_t>(octets);
    ReleaseIfEmpty(ctx, leg.in);
    return;
  }
  assert(leg.chunk != kNoBuffer && octets <= ChunkSize(leg));
  leg.chunk_begin += static_cast<uint32_t>(octets);
  if (ChunkSize(leg) == 0) ReturnChunk(ctx, leg);
}

void DropInput(WorkerContext& ctx, Leg& leg) {
  if (leg.chunk != kNoBuffer) ReturnChunk(ctx, leg);
  ReleaseBlock(ctx, leg.in);
  if (leg.tls == nullptr) return;
  ReleaseBlock(ctx, leg.tls->in);
  leg.tls->pending = false;
}

void DropOutput(WorkerContext& ctx, Leg& leg) {
  if ((leg.in_flight & kOpSend) == 0) ReleaseBlock(ctx, leg.out);
  if (leg.tls == nullptr) return;
  ReleaseBlock(ctx, leg.tls->out);
  leg.tls->reply.clear();
}

bool StashChunk(WorkerContext& ctx, Leg& leg) {
  if (leg.chunk == kNoBuffer) return true;
  const uint32_t size = ChunkSize(leg);
  if (!EnsureBlock(ctx, leg.in, size)) return false;
  MoveToFront(leg.in);
  if (leg.in.capacity() - leg.in.end < size) {
    // No large one could be had, and the receive was for one.
    assert(leg.in.empty() && !leg.in.bulk);
    ReleaseBlock(ctx, leg.in);
    ctx.out_of_blocks = true;
    return false;
  }
  std::memcpy(leg.in.data + leg.in.end, ctx.ring->Buffer(leg.chunk).data() + leg.chunk_begin, size);
  leg.in.end += size;
  ReturnChunk(ctx, leg);
  return true;
}

std::span<uint8_t> RoomIn(WorkerContext& ctx, Block& block, size_t wanted, size_t best) {
  if (!EnsureBlock(ctx, block, std::max(wanted, best))) return {};
  if (block.capacity() - block.end < wanted && block.in_flight == 0) MoveToFront(block);
  if (block.capacity() - block.end < wanted) return {};
  return {block.data + block.end, block.capacity() - block.end};
}

std::span<uint8_t> OutRoom(WorkerContext& ctx, Leg& leg, size_t wanted, size_t best) {
  return RoomIn(ctx, leg.tls == nullptr ? leg.out : leg.tls->out, wanted, best);
}

void Produced(Leg& leg, size_t octets) {
  Block& block = leg.tls == nullptr ? leg.out : leg.tls->out;
  assert(block.end + octets <= block.capacity());
  block.end += static_cast<uint32_t>(octets);
}

void ReleaseIfEmpty(WorkerContext& ctx, Block& block) {
  if (block.data != nullptr && block.empty() && block.in_flight == 0) ReleaseBlock(ctx, block);
}

void ReleaseIdleOutput(WorkerContext& ctx, Leg& leg) {
  ReleaseIfEmpty(ctx, leg.out);
  if (leg.tls != nullptr) ReleaseIfEmpty(ctx, leg.tls->out);
}

void ReleaseBlock(WorkerContext& ctx, Block& block) {
  if (block.data == nullptr) return;
  assert(block.in_flight == 0);
  (block.bulk ? ctx.bulk_pool : ctx.pool).Give(block.data);
  block = Block();
}

void ArmRecv(WorkerContext& ctx, Session& session, Leg& leg) {
  if (leg.tls != nullptr && (leg.tls->tcp_ended || leg.tls->cut_off)) return;
  if (!leg.open() || (leg.in_flight & kOpRecv) != 0 || leg.end_of_data || leg.recv_error != 0 ||
      leg.starved || leg.chunk != kNoBuffer) {
    return;
  }
  const BufferGroup group = leg.large > 0 ? BufferGroup::kLarge : BufferGroup::kSmall;
  uint32_t max = leg.large > 0 ? BulkReceive(ctx) : kSmallReceive;
  if (!leg.in.empty()) max = std::min(max, leg.in.capacity() - (leg.in.end - leg.in.begin));
  if (max == 0) return;
  leg.in_flight |= kOpRecv;
  const bool down = IsAccepted(session, leg);
  ctx.ring->Recv(leg.fd, group, max, MakeTag(session, down ? Op::kDownRecv : Op::kUpRecv));
}

void ArmSend(WorkerContext& ctx, Session& session, Leg& leg) {
  if (leg.tls != nullptr) SealOutput(ctx, leg);
  if (!leg.open() || (leg.in_flight & (kOpSend | kOpOpen)) != 0 || leg.out.empty()) return;
  if (leg.send_error != 0 || leg.write_ended) return;
  leg.in_flight |= kOpSend;
  if (leg.acknowledge == Acknowledge::kUnlessSent) leg.acknowledge = Acknowledge::kNo;
  leg.out.in_flight = leg.out.end - leg.out.begin;
  const bool down = IsAccepted(session, leg);
  ctx.ring->Send(leg.fd, leg.out.view(), MakeTag(session, down ? Op::kDownSend : Op::kUpSend));
}

void ArmShutdown(WorkerContext& ctx, Session& session, Leg& leg) {
  if (!leg.open() || leg.write_ended || !Flushed(leg)) return;
  if (leg.tls != nullptr && !leg.tls->close_notify_over) {
    // Asked for again when that has been sent.
    SealClose(ctx, leg);
    return;
  }
  leg.write_ended = true;
  leg.in_flight |= kOpShutdown;
  const bool down = IsAccepted(session, leg);
  ctx.ring->ShutdownWrite(leg.fd, MakeTag(session, down ? Op::kDownShutdown : Op::kUpShutdown));
}

void ArmAcknowledge(WorkerContext& ctx, Leg& leg) {
  if (leg.acknowledge == Acknowledge::kNo || !Flushed(leg)) return;
  leg.acknowledge = Acknowledge::kNo;
  if (leg.tcp && leg.open() && (leg.in_flight & (kOpOpen | kOpClose)) == 0) {
    ctx.ring->Acknowledge(leg.fd);
  }
}

void ArmCancel(WorkerContext& ctx, Session& session, Leg& leg) {
  if (!leg.open() || (leg.in_flight & kOpCancel) != 0) return;
  leg.in_flight |= kOpCancel;
  const bool down = IsAccepted(session, leg);
  ctx.ring->Cancel(leg.fd, MakeTag(session, down ? Op::kDownCancel : Op::kUpCancel));
}

}  // namespace starling
