// OCSP responses for tests, made when they run. Their signature is arbitrary, because the
// gateway does not verify it.
#pragma once

#include <cstdint>
#include <string>

namespace starling {

struct TestOcspOptions {
  enum class Status : uint8_t { kGood, kRevoked, kUnknown };

  Status status = Status::kGood;
  int64_t this_update = -3600;      // seconds from now; also when it was revoked
  int64_t next_update = 3 * 86400;  // seconds from now; 0: it does not say
  uint8_t response_status = 0;      // of the response; if not 0, the response has no content
  bool basic = true;                // false: an unknown type
  bool sha256 = false;              // false: SHA-1, as is usual
  bool extensions = false;          // version, extensions and certificates, all optional
  int others = 0;                   // how many responses about other certificates come first
  bool wrong_serial = false;
  bool wrong_issuer_name = false;
  bool wrong_issuer_key = false;
};

// DER. `issuer_pem` equals the leaf for a self-signed certificate.
std::string MakeTestOcsp(const std::string& leaf_pem, const std::string& issuer_pem,
                         const TestOcspOptions& options = {});

}  // namespace starling
