// OCSP responses for tests, made when they run. Their signature is arbitrary: the
// gateway reads what they say, and the clients verify them.
#pragma once

#include <cstdint>
#include <string>

namespace starling {

struct TestOcspOptions {
  enum class Status : uint8_t { kGood, kRevoked, kUnknown };

  Status status = Status::kGood;
  int64_t this_update = -3600;      // seconds from now; also when it was revoked
  int64_t next_update = 3 * 86400;  // seconds from now; 0: it does not say
  uint8_t response_status = 0;      // of the whole; others than 0 hold nothing more
  bool basic = true;                // else a type that nobody knows
  bool sha256 = false;              // else SHA-1, as is usual
  bool extensions = false;          // version, extensions and certificates, all optional
  int others = 0;                   // responses about other certificates that come first
  bool wrong_serial = false;
  bool wrong_issuer_name = false;
  bool wrong_issuer_key = false;
};

// DER. `issuer_pem` may be the leaf's own for one that signed itself.
std::string MakeTestOcsp(const std::string& leaf_pem, const std::string& issuer_pem,
                         const TestOcspOptions& options = {});

}  // namespace starling
