// What each stage does. Four functions a stage, chosen by the type of the stage; the pump
// alone calls them:
//
//   Act      looks at the session, does what can be done now, returns what is next
//   DueOf    what the stage waits for, and until when
//   Overdue  acts on a time of DueOf that has come. Stay: Act goes on as usual
//   Wanted   which sides are to be received from
//
// The stage passed is the session's own. No function here calls one of another stage.
#pragma once

#include "gateway/session/context.h"
#include "gateway/session/due.h"

namespace starling {

struct Receives {
  bool client = false;
  bool server = false;
};

#define STARLING_STAGE(StageType)                                                       \
  Next Act(WorkerContext& ctx, Session& session, StageType& stage);                     \
  Dues DueOf(const WorkerContext& ctx, const Session& session, const StageType& stage); \
  Next Overdue(WorkerContext& ctx, Session& session, StageType& stage, const Due& due); \
  Receives Wanted(WorkerContext& ctx, Session& session, const StageType& stage)

STARLING_STAGE(ProxyHeader);
STARLING_STAGE(DataWait);
STARLING_STAGE(Talking);
STARLING_STAGE(Upgrading);
STARLING_STAGE(Handshaking);
STARLING_STAGE(Opening);
STARLING_STAGE(Greeting);
STARLING_STAGE(Inside);
STARLING_STAGE(Relaying);
STARLING_STAGE(LastWords);
STARLING_STAGE(Lingering);
STARLING_STAGE(Closing);
#undef STARLING_STAGE

// A slot without a session.
inline Next Act(WorkerContext& /*ctx*/, Session& /*session*/, Free& /*stage*/) { return Stay(); }
inline Dues DueOf(const WorkerContext& /*ctx*/, const Session& /*session*/, const Free& /*stage*/) {
  return {};
}
inline Next Overdue(WorkerContext& /*ctx*/, Session& /*session*/, Free& /*stage*/,
                    const Due& /*due*/) {
  return Stay();
}
inline Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const Free& /*stage*/) {
  return {};
}

}  // namespace starling
