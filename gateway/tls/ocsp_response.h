// Reads what an OCSP response (RFC 6960 section 4.2.1, DER) says about one certificate.
// For tls/ only.
//
// Not for: verifying the response's signature. Clients that receive the stapled response
// do that. The gateway only makes sure that it does not send a response for the wrong
// certificate or at the wrong time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "gateway/tls/credential.h"

namespace starling {

struct OcspResponse {
  enum class Status : uint8_t { kGood, kRevoked, kUnknown };

  Status status = Status::kUnknown;
  int64_t this_update = 0;  // Unix seconds
  int64_t next_update = 0;  // Unix seconds; 0: the response has no such field
  int64_t revoked_at = 0;   // with kRevoked
};

// The error says what is wrong: the response is damaged, unsuccessful, not of the basic
// type, or about another certificate. It does not name the file.
absl::StatusOr<OcspResponse> ParseOcspResponse(std::span<const uint8_t> der,
                                               const OcspSubject& subject);

}  // namespace starling
