// Translates the TLS library's errors and alerts into the failures that metrics count.
// For tls/ only.
#pragma once

#include "gateway/tls/tls_session.h"

namespace starling {

// The failure that an alert from the peer stands for.
TlsFailure FailureOfAlert(uint8_t description);

// The failure in the library's error queue of this thread; empties the queue.
TlsFailure TakeFailure();

}  // namespace starling
