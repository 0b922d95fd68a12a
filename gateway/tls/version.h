// The version of the TLS library, for --version, the log and metrics.
#pragma once

#include <string>

namespace starling {

std::string TlsLibraryVersion();  // "BoringSSL, API 42"

}  // namespace starling
