// The side that the gateway opens: chooses a server, connects with the PROXY header first,
// begins TLS where it is configured, waits for the greeting where the server speaks first,
// tries the next server, gives up; and closes it again.
//
// Each function changes the session's Link and returns news. What the news mean to the
// client is decided by the stage.
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

enum class LinkNews : uint8_t {
  kNone,      // nothing can be done now
  kMoved,     // look again
  kUp,        // octets can pass
  kFailed,    // no server could be had, for `reason`
  kClosed,    // what was being closed is gone
  kNoMemory,  // no block or no TLS object could be had
};
struct LinkResult {
  LinkNews news = LinkNews::kNone;
  EndReason reason = EndReason::kNone;
};

// Begins with the first server of `backend`; AdvanceLink does the rest. There is no link yet.
void StartLink(WorkerContext& ctx, Session& session, uint32_t backend);
// For a data channel: the side that is not accepted, to a target of its own.
void StartDataLink(WorkerContext& ctx, Session& session);

// One step of whatever the link is at.
LinkResult AdvanceLink(WorkerContext& ctx, Session& session);

// The server of the link that is up ended before it said a word. Perhaps it does so with every
// client: a probe finds out.
void SuspectServer(const Session& session);

// Whatever the link is at: it is closing afterwards, or gone.
void CloseLink(WorkerContext& ctx, Session& session);
// Cancels what is armed on a side and closes it. A connect that is under way is cancelled
// first, so this is to be called again until the side is neither open nor busy.
void CloseSide(WorkerContext& ctx, Session& session, Side& side);

// Closes the server's side, which has no part in what the gateway tells the client at the
// end. That side is the link, except on a data channel of PORT. A data channel that is kept
// stays open. Call this again, like CloseSide.
void CloseServerSide(WorkerContext& ctx, Session& session);

// TryEnds has passed: unless the session stays with its server, a connect is cancelled. A wait for
// a retry ends. AdvanceLink does the rest.
void HurryLink(WorkerContext& ctx, Session& session);

}  // namespace starling
