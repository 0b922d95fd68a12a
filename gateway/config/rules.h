// Rules between options: defaults that depend on other options, contradictions, and
// warnings of settings that are valid but dangerous.
#pragma once

#include "gateway/config/draft.h"
#include "gateway/config/problem.h"

namespace starling {

// Fills in the defaults that depend on other options, and reports contradictions. The
// draft may have errors already. The rules skip options that were not read.
void ApplyRules(Draft& draft, Report& report);

// Whether other organisations' servers deliver here: STARTTLS at the protocol's public
// port. The listener must have a protocol.
bool IsPublic(const ListenerConfig& listener);

// The draft must have no errors.
void CollectWarnings(const Draft& draft, Report& report);

}  // namespace starling
