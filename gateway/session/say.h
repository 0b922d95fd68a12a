// What the gateway itself tells a client: replies of a dialogue, refusals, alerts and
// close_notify. Each function appends to what waits for the client. None of them ends a
// session: that is the Next that some of them return.
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

// Words for the client, through TLS where that is up. They are lost where there is no room
// for them.
void SayToClient(WorkerContext& ctx, Session& session, ByteView text);

// Decided: what the client was told could not be sealed, and the session ends.
Next CheckSealing(Session& session);

// TLS with the client failed after the handshake. Its alert waits to be sent.
Next FailTls(Session& session);

// A fatal alert (RFC 8446 section 6), counted: in plaintext for clients that have no TLS here, and
// amid a handshake under the keys that the client expects by then.
void SayAlert(WorkerContext& ctx, Session& session, uint8_t description);
inline constexpr uint8_t kHandshakeRecord = 0x16;  // RFC 8446 section 5.1
inline constexpr uint8_t kUnexpectedMessage = 10;
inline constexpr uint8_t kInternalError = 80;

// The protocol's own words for a refusal, or an alert where it has none; then the session
// ends politely.
Next Refuse(WorkerContext& ctx, Session& session, Refusal refusal, EndReason reason);

// Amid or before the handshake: by an alert, which a client understands whether TLS begins with its
// first octet or behind a go-ahead. Words would be plaintext where TLS is expected.
Next BreakOffHandshake(WorkerContext& ctx, Session& session, EndReason reason);

// close_notify, once, behind the last words. An alert is the last word itself and has no
// close_notify behind it. A relay (`relayed`) that the server's reset cut off gets none: the
// client would take what it has for the whole.
void SayCloseNotify(WorkerContext& ctx, Session& session, bool relayed);

}  // namespace starling
