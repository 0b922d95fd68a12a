// What no option can say alone: defaults that depend on others, contradictions
// between options, and what is legal but dangerous.
#pragma once

#include "gateway/config/draft.h"
#include "gateway/config/problem.h"

namespace starling {

// Fills in what depends on other options and reports contradictions. The draft
// may have errors already: what was not read is not judged.
void ApplyRules(Draft& draft, Report& report);

// Whether servers of strangers deliver here: STARTTLS at the protocol's public port. The
// listener has a protocol.
bool IsPublic(const ListenerConfig& listener);

// Of a draft without errors.
void CollectWarnings(const Draft& draft, Report& report);

}  // namespace starling
