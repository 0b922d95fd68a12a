// Applies what a step wants: builds the next stage, with its metrics and log lines, and gives
// back what the session had only for the stage it leaves. Only the pump calls this.
//
// Asserts what a stage guarantees when it is left, and what the next one assumes.
#pragma once

#include "gateway/session/context.h"

namespace starling {

// `next` leaves its stage.
void Apply(WorkerContext& ctx, Session& session, const Next& next);

}  // namespace starling
