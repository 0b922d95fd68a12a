// How a session ends that gives way to a newcomer in a full session table.
//
// Not for: which session that is (crowding.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// The session has to give way, and its turn has come. It leaves its stage.
Next GiveWay(WorkerContext& ctx, Session& session);

}  // namespace starling
