// Why the TLS library failed, as the label to count it under. For tls/ only.
#pragma once

#include "gateway/tls/tls_session.h"

namespace starling {

// What an alert of the other side means.
TlsFailure FailureOfAlert(uint8_t description);

// Takes the library's error queue of this thread and leaves it empty.
TlsFailure TakeFailure();

}  // namespace starling
