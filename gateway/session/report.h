// What a session counts, and what it leaves behind: two log lines and its last counters.
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

// So far it is nothing but a health check: the load balancer says so, or it has sent nothing and is
// of a source that makes such checks.
bool LooksLikeCheck(const Session& session);

// The first cause is the one that is reported.
void NoteReason(Session& session, EndReason reason);

// A handshake that failed, with what the client offered.
void CountFailure(WorkerContext& ctx, Session& session, TlsFailure failure);
void CountAlert(WorkerContext& ctx, const Session& session, AlertDirection direction,
                uint8_t description);
// A client is known: its first octets may come, or its PROXY header has come.
void NoteClient(WorkerContext& ctx, const Session& session);
void CountAttack(WorkerContext& ctx, const Session& session, Attack attack);
void CountLimit(WorkerContext& ctx, Limit limit);

// Once in plaintext and once inside TLS at most.
void LogEstablished(WorkerContext& ctx, Session& session);
// The client spoke before its greeting, which was delayed.
void LogPregreet(WorkerContext& ctx, Session& session);
void ReportEnd(WorkerContext& ctx, Session& session);

}  // namespace starling
