// Octets in and out of a leg, and what it asks of the ring.
//
// Not for: what the octets mean, and when they are wanted (stages/).
#pragma once

#include <cstddef>
#include <span>

#include "gateway/session/context.h"

namespace starling {

// What a leg has received and nobody has consumed; empty if there is nothing.
ByteView Input(WorkerContext& ctx, Leg& leg);
void Consume(WorkerContext& ctx, Leg& leg, size_t octets);
void DropInput(WorkerContext& ctx, Leg& leg);
// Receive buffers do not outlive the turn: what is left goes to a block. False:
// no block could be had, and the buffer is kept until one can.
bool StashChunk(WorkerContext& ctx, Leg& leg);
// Room behind what waits to be sent, at least `wanted` octets, and `best` if a block
// has to be taken and one so large can be had; empty if that cannot be had now. Follow
// with Produced() or nothing.
std::span<uint8_t> OutRoom(WorkerContext& ctx, Leg& leg, size_t wanted, size_t best = 0);
void Produced(Leg& leg, size_t octets);
void ReleaseIfEmpty(WorkerContext& ctx, Block& block);
void ReleaseBlock(WorkerContext& ctx, Block& block);
// The blocks of a leg's output that hold nothing.
void ReleaseIdleOutput(WorkerContext& ctx, Leg& leg);
// Nothing waits to be sent.
inline bool NothingToSend(const Leg& leg) {
  return leg.out.empty() &&
         (leg.tls == nullptr || (leg.tls->out.empty() && leg.tls->reply.empty()));
}
// And nothing is being sent.
inline bool Flushed(const Leg& leg) { return NothingToSend(leg) && (leg.in_flight & kOpSend) == 0; }
// Drops what waits to be sent, unless it is being sent.
void DropOutput(WorkerContext& ctx, Leg& leg);

// --- TLS within a leg to a server (leg_tls.cc) ---

// The octets of the socket themselves: what Input and OutRoom are where there is no TLS.
ByteView RawInput(WorkerContext& ctx, Leg& leg);
void RawConsume(WorkerContext& ctx, Leg& leg, size_t octets);
std::span<uint8_t> RoomIn(WorkerContext& ctx, Block& block, size_t wanted, size_t best = 0);
// Opens what has come as far as there is room; what is there then.
ByteView OpenedInput(WorkerContext& ctx, Leg& leg);
// Seals what waits, as far as there is room.
void SealOutput(WorkerContext& ctx, Leg& leg);
// Appends close_notify, once. False: no room yet.
bool SealClose(WorkerContext& ctx, Leg& leg);
// One step of the handshake with a server.
TlsResult StepLegHandshake(WorkerContext& ctx, Leg& leg);

// Asks the ring; each does nothing when it is already asked or cannot be.
void ArmRecv(WorkerContext& ctx, Session& session, Leg& leg);
void ArmSend(WorkerContext& ctx, Session& session, Leg& leg);
void ArmShutdown(WorkerContext& ctx, Session& session, Leg& leg);
// Asks the kernel to acknowledge at once, where the leg wants that and nothing is being sent.
// The caller knows whether the peer may hold octets back.
void ArmAcknowledge(WorkerContext& ctx, Leg& leg);
void ArmCancel(WorkerContext& ctx, Session& session, Leg& leg);

inline bool IsDown(const Session& session, const Leg& leg) { return &leg == &session.down; }
// Which of the ring's two sides it is.
inline bool IsAccepted(const Session& session, const Leg& leg) {
  return IsDown(session, leg) != session.reversed;
}
inline MonoTime After(MonoTime at, uint32_t ms) { return at + std::chrono::milliseconds(ms); }

}  // namespace starling
