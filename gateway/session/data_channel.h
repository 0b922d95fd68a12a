// Data channels (FTP): each is a session of its own, so that its handshake, relay, limits
// and counts are those of all sessions. It begins as a listening socket, takes one
// connection from one host, and connects to the other side at once: a client may begin TLS
// only when the server has said that it sends.
//
// A control session and its channel never act on each other. They post letters, which the
// receiver's next pump reads.
//
// Not for: which commands want a channel, and what its end means (protocols/ftp).
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/session/context.h"

namespace starling {

// Makes the data channel that `request` asks for, or drops the one there is; the dialogue of
// `control` is told at its next step whether it can be had.
void ServeDataRequest(WorkerContext& ctx, Session& control, const DataRequest& request);
// Whether there is an answer to the latest request. If not, `control` is pumped again in the next
// turn, and is to ask again before it goes on.
bool AnswerDataRequest(WorkerContext& ctx, Session& control);

// A connection has come to the channel's listening socket, or accepting failed.
void RecordDataAccept(Session& session, const Completion& completion);
// It is the right one: the socket is closed, and the other side is connected.
void JoinData(WorkerContext& ctx, Session& session);
// False: an accept is still with the ring.
bool CloseDataListener(WorkerContext& ctx, Session& session);

// A download that was sent to its end, and whose client has not ended its side: after the
// linger its control session is told so, since a client may wait for that first. The
// connection stays until it has ended, or is idle.
bool IsSentWhole(const Session& session);
void TellSentWhole(WorkerContext& ctx, Session& session);

// `session` is about to leave its last stage before the end: if it is a data channel, its
// control session is told how that ended; if it has one, that is dropped.
void EndData(WorkerContext& ctx, Session& session);

// Takes the letter that waits for this session, if one does.
Next ReadDataLetter(WorkerContext& ctx, Session& session);

}  // namespace starling
