// The steps that Pump is made of, one file each; for session/ only. A step looks
// at the session, does what can be done now, and says whether it changed
// something that makes another look worthwhile.
#pragma once

#include "gateway/session/context.h"

namespace starling {

// --- common.cc: octets in and out of a leg ---

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

// --- leg_tls.cc: TLS within a leg ---
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
void ArmAcknowledge(WorkerContext& ctx, Session& session, Leg& leg);
void ArmCancel(WorkerContext& ctx, Session& session, Leg& leg);

// Plaintext for the client, through TLS where it is up. False: no room now, and
// nothing was written.
bool SayToClient(WorkerContext& ctx, Session& session, ByteView text);
// A fatal alert in plaintext (RFC 8446 section 6), for clients that have no TLS here;
// counted.
void SayAlert(WorkerContext& ctx, Session& session, uint8_t description);
inline constexpr uint8_t kUnexpectedMessage = 10;
inline constexpr uint8_t kInternalError = 80;

void SetPhase(WorkerContext& ctx, Session& session, Phase phase);
void NoteReason(Session& session, EndReason reason);
// A handshake that failed, with what the client offered.
void CountFailure(WorkerContext& ctx, Session& session, TlsFailure failure);
void CountAlert(WorkerContext& ctx, const Session& session, AlertDirection direction,
                uint8_t description);
void CountAttack(WorkerContext& ctx, const Session& session, Attack attack);
inline bool IsDown(const Session& session, const Leg& leg) { return &leg == &session.down; }
// Which of the ring's two sides it is.
inline bool IsAccepted(const Session& session, const Leg& leg) {
  return IsDown(session, leg) != session.reversed;
}
inline bool IsOver(Phase phase) {
  return phase == Phase::kLastWords || phase == Phase::kLinger || phase == Phase::kClosing;
}
inline MonoTime After(MonoTime at, uint32_t ms) { return at + std::chrono::milliseconds(ms); }

// --- dialogue.cc: the negotiator, before TLS, on a plaintext leg, in the preamble, inside ---
bool StepProxyHeader(WorkerContext& ctx, Session& session);
bool StepDialogue(WorkerContext& ctx, Session& session);
bool StepPreamble(WorkerContext& ctx, Session& session);
// Hands the event to the negotiator and applies its verdict.
void TellNegotiator(WorkerContext& ctx, Session& session, const Event& event);
void DropDialogue(WorkerContext& ctx, Session& session);
void StartDialogue(WorkerContext& ctx, Session& session);
// For protocols whose dialogue begins inside TLS: kLegUp is what it hears first.
void StartInside(WorkerContext& ctx, Session& session);
// The dialogue hears events in these.
inline bool InDialogue(const Session& session) {
  return session.phase == Phase::kDialogue || session.phase == Phase::kPreamble ||
         session.phase == Phase::kInside;
}

// --- inside.cc: the client's octets for a negotiator inside TLS ---
// What the client has sent and nobody has consumed; empty where there is nothing, and
// where TLS failed and the session ends.
ByteView InsideInput(WorkerContext& ctx, Session& session);
void ConsumeInside(WorkerContext& ctx, Session& session, size_t octets);
// The dialogue is over: passes on to the server what was opened for it. True: all of
// it, and the relay has begun.
bool HandOver(WorkerContext& ctx, Session& session);

// --- data.cc: data channels, sessions beside that of their control connection ---
// Makes the data channel that was asked for, or drops the one there is. False: none could
// be made; else `ready_at` is where it is listened for.
bool ServeDataAsk(WorkerContext& ctx, Session& control, const Step& step, Endpoint& ready_at);
void RecordDataAccept(Session& session, const Completion& completion);
bool StepDataWait(WorkerContext& ctx, Session& session);
// The connecting of the second leg.
bool StepDataJoin(WorkerContext& ctx, Session& session);
// TLS with the client is up.
void DataTlsUp(WorkerContext& ctx, Session& session);
void CloseDataLeg(WorkerContext& ctx, Session& session, Leg& leg);
// False: an accept is still with the ring.
bool CloseDataListener(WorkerContext& ctx, Session& session);
// A download that was sent to its end, and whose client has not ended its side: after the
// linger its control session is told so, since a client may wait for that first. The
// connection stays until it has ended, or is idle.
bool IsSentWhole(const Session& session);
void TellSentWhole(WorkerContext& ctx, Session& session);
// The session is over: if it is a data channel, its control session is told how that
// ended, and if it has one, that is reset.
void EndData(WorkerContext& ctx, Session& session);

// --- upgrade.cc ---
// Drops the white space at the start of what the client has sent, as far as its protocol
// lets some stand between the upgrade command and TLS.
void SkipSpace(WorkerContext& ctx, Session& session);
bool StepUpgrade(WorkerContext& ctx, Session& session);

// --- handshake.cc ---
inline constexpr uint8_t kHandshakeRecord = 0x16;  // RFC 8446 section 5.1
bool StepHandshake(WorkerContext& ctx, Session& session);
void LeaveHandshake(WorkerContext& ctx, Session& session);

// --- leg.cc: the backend's side ---
void OpenLeg(WorkerContext& ctx, Session& session, uint32_t backend);
// Legs to each of its servers in turn (kOpenAllLegs). The next one is opened when a leg
// is closed, as long as there is one that has had none.
void OpenAllLegs(WorkerContext& ctx, Session& session, uint32_t backend);
inline bool OpensAllLegs(const Session& session) {
  return session.dialogue != nullptr && session.dialogue->all_legs;
}
bool StepLeg(WorkerContext& ctx, Session& session);
void RecordLegOpened(WorkerContext& ctx, Session& session, const Completion& completion);
// Whatever the leg is at. While a connect is being cancelled it is to be called
// again, in the next step; after that the leg is closing, or gone.
void CloseLeg(WorkerContext& ctx, Session& session);
void LegClosed(WorkerContext& ctx, Session& session);

// --- relay.cc ---
struct OpenedRecord {
  size_t octets = 0;
  bool progress = false;  // or input was consumed
  bool failed = false;    // the session ends
};
// Opens records of the client, `in`, into `room`.
OpenedRecord OpenRecord(WorkerContext& ctx, Session& session, ByteView in, std::span<uint8_t> room);
// The clock of a record runs while its rest is all that is waited for. Octets that
// were opened begin it anew, or a long upload, whose receives hardly ever end with a
// record, would be taken for one record; and a server that takes nothing is not the
// client's fault.
void TimeRecord(const WorkerContext& ctx, Session& session);
void StartRelay(WorkerContext& ctx, Session& session);
bool StepRelay(WorkerContext& ctx, Session& session);

// --- terminate.cc ---
// Last words are in down.out already; flush, linger, close.
void EndPolitely(WorkerContext& ctx, Session& session, EndReason reason);
void EndNow(WorkerContext& ctx, Session& session, EndReason reason);
// The protocol's own words for a refusal, then EndPolitely.
void Refuse(WorkerContext& ctx, Session& session, Refusal refusal, EndReason reason);
bool StepLastWords(WorkerContext& ctx, Session& session);
bool StepLinger(WorkerContext& ctx, Session& session);
bool StepClosing(WorkerContext& ctx, Session& session);

// --- deadlines.cc ---
// The next time at which something of the session must be looked at.
MonoTime NextDeadline(const WorkerContext& ctx, const Session& session);
// Acts on what is due. Only the deadline that ended the session is its reason.
void CheckDeadlines(WorkerContext& ctx, Session& session);
// Keeps the worker's list of those that must hear of it when the table is crowded.
void NoteOvertime(WorkerContext& ctx, Session& session);
void LeaveOvertime(WorkerContext& ctx, Session& session);

// --- report.cc ---
void LogEstablished(WorkerContext& ctx, Session& session);
void ReportEnd(WorkerContext& ctx, Session& session);

}  // namespace starling
