// The PROXY header that the gateway writes to a server, before all else on the connection.
// Not for: the header of a load balancer (stages/proxy_header.cc), or the octets of either
// (protocols/proxy/proxy_header.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// Appends the header to the link's output where `backend` has one. False: no room could be
// had, or the header does not fit.
bool WriteProxyHeader(WorkerContext& ctx, Session& session, const BackendConfig& backend);

}  // namespace starling
