// The white space that a client may send between its upgrade command and TLS, as far as its
// protocol lets some stand there.
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

// Drops white space at the start of what the client has sent, up to `left` octets, which are
// counted down. True: some was dropped.
bool SkipSpace(WorkerContext& ctx, Side& client, uint8_t& left);

}  // namespace starling
