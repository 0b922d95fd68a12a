// Applies what a step wants: builds the next stage, with its metrics and log lines, and puts
// right what the session had only for the stage it leaves. Only the pump calls this.
#pragma once

#include "gateway/session/context.h"

namespace starling {

// `next` leaves its stage.
void Apply(WorkerContext& ctx, Session& session, const Next& next);

// Asserts that the session's link may stand beside its stage.
void CheckPair(const Session& session);

}  // namespace starling
