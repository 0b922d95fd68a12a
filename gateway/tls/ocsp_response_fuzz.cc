// Feeds arbitrary octets to the OCSP parser, with the subject of the corpus's
// certificate, and checks that an accepted response is plausible.
#include <cstdint>
#include <cstdlib>

#include "gateway/tls/ocsp_response.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using starling::OcspResponse;
  // Serial number 1 of the issuer with the common name "Test CA".
  const starling::OcspSubject subject = {
      .serial = "\x01",
      .issuer_name = "\x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07Test CA"};
  const auto response = starling::ParseOcspResponse({data, size}, subject);
  if (!response.ok()) {
    if (response.status().message().empty()) std::abort();
    return 0;
  }
  if (response->status > OcspResponse::Status::kUnknown) std::abort();
  if (response->status != OcspResponse::Status::kRevoked && response->revoked_at != 0) std::abort();
  // GeneralizedTime ends with the year 9999.
  constexpr int64_t kLast = 253402300799;
  if (response->this_update > kLast || response->next_update > kLast) std::abort();
  return 0;
}
