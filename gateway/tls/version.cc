#include "gateway/tls/version.h"

#include <openssl/base.h>

namespace starling {

std::string TlsLibraryVersion() {
  return "BoringSSL, API " + std::to_string(BORINGSSL_API_VERSION);
}

}  // namespace starling
