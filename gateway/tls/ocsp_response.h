// Reads what an OCSP response (RFC 6960 section 4.2.1, DER) says of one
// certificate. For tls/ only.
//
// Not for: its signature. The clients that it is stapled for verify it; here it is
// only kept from being sent for the wrong certificate or at the wrong time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "gateway/tls/credential.h"

namespace starling {

inline constexpr size_t kMaxOcspResponse = size_t{64} << 10;

struct OcspResponse {
  enum class Status : uint8_t { kGood, kRevoked, kUnknown };

  Status status = Status::kUnknown;
  int64_t this_update = 0;  // Unix seconds
  int64_t next_update = 0;  // 0: it does not say
  int64_t revoked_at = 0;   // with kRevoked
};

// An error says what is wrong with the response: damaged, not successful, not a basic
// response, about another certificate.
absl::StatusOr<OcspResponse> ParseOcspResponse(std::span<const uint8_t> der,
                                               const OcspSubject& subject);

}  // namespace starling
