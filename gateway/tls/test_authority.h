// A certification authority for tests: issues client certificates, revocation lists and
// intermediate authorities. Makes everything at run time, as test_certificates.h does.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace starling {

struct TestLeafOptions {
  std::string common_name = "client";  // empty: none
  std::vector<std::string> mails;      // alternative names, these first
  std::vector<std::string> hosts;
  std::vector<std::string> addresses;  // IP, as text
  int64_t not_after = 86'400;          // seconds from now
  bool server_only = false;            // extended key usage
  bool client_only = false;
  size_t padding = 0;  // octets of a meaningless extension
};

struct TestLeaf {
  std::string cert;  // PEM: the leaf, then the intermediate authorities
  std::string key;   // PEM
  int64_t serial = 0;
};

// Aborts on failure.
class TestAuthority {
 public:
  // A root authority.
  explicit TestAuthority(const std::string& name);
  // An intermediate authority that `parent` signed.
  TestAuthority(const std::string& name, const TestAuthority& parent);

  TestLeaf Issue(const TestLeafOptions& options = {}) const;
  // A revocation list, PEM; `next_update` in seconds from now.
  std::string Revoke(const std::vector<int64_t>& serials, int64_t next_update = 86'400) const;
  const std::string& cert() const { return cert_; }  // PEM
  int64_t serial() const { return serial_; }

 private:
  std::string name_;
  bssl::UniquePtr<EVP_PKEY> key_;
  int64_t serial_ = 0;
  std::string cert_;
  std::string below_root_;  // PEM: this authority and those above it, without the root
};

}  // namespace starling
