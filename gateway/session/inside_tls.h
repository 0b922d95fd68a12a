// The client's octets for a negotiator inside TLS: they are opened for it, and what it
// leaves unread when it says kRelay goes to the server.
//
// Not for: what the negotiator decides (negotiation.h), nor the relay, where nothing is read
// and nothing copied twice.
#pragma once

#include "gateway/session/context.h"

namespace starling {

// Opens what has come from the client, as far as there is room. `opened` is then what nobody
// has consumed. False: TLS failed.
bool OpenForDialogue(WorkerContext& ctx, Session& session, Inside& stage, ByteView& opened);
void ConsumeOpened(WorkerContext& ctx, Session& session, size_t octets);

// The dialogue is over: passes on to the server what was opened for it, then the relay
// begins. Stay: there is no room yet for the rest.
Next HandOver(WorkerContext& ctx, Session& session);

struct OpenedRecord {
  size_t octets = 0;
  bool progress = false;  // or input was consumed
  bool failed = false;    // TLS failed
};
// Opens records of the client, `in`, into `room`.
OpenedRecord OpenRecord(WorkerContext& ctx, Session& session, ByteView in, std::span<uint8_t> room);

// The clock of a record runs while its rest is all that is waited for. Octets that
// were opened begin it anew, or a long upload, whose receives hardly ever end with a
// record, would be taken for one record; and a server that takes nothing is not the
// client's fault.
void TimeRecord(const WorkerContext& ctx, const Session& session, MonoTime& record_at);

}  // namespace starling
