// What the TLS library says of itself.
#pragma once

#include <string>

namespace starling {

std::string TlsLibraryVersion();  // "BoringSSL, API 42"

}  // namespace starling
