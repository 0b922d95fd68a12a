// Certificates for tests, made when they run: nothing expires in the repository
// and no key is ever committed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace starling {

enum class TestKey : uint8_t { kEcP256, kEcP384, kEcP224, kRsa2048, kRsa1024, kEd25519 };

struct TestCertificateOptions {
  TestKey key = TestKey::kEcP256;
  std::vector<std::string> names = {"mail.example.org"};  // DNS SANs; empty: CN only
  std::string common_name = "mail.example.org";
  int64_t not_before = -86'400;     // seconds from now
  int64_t not_after = 90 * 86'400;  // seconds from now
  bool with_issuer = false;         // appends a CA certificate that signed the leaf
  bool must_staple = false;         // RFC 7633
};

struct TestCertificate {
  std::string cert;  // PEM: leaf, then the issuer if wanted
  std::string key;   // PEM, PKCS #8
};

// Makes one key per process and kind, because RSA keys are slow to make. Aborts on
// failure.
TestCertificate MakeTestCertificate(const TestCertificateOptions& options = {});

// A leaf and `issuers` authorities above it ("Test CA 1" is the leaf's issuer, the last
// one is a root): one PEM text each, in that order. `key` is the leaf's.
struct TestChain {
  std::vector<std::string> certs;
  std::string key;
};
TestChain MakeTestChain(int issuers, const TestCertificateOptions& options = {});

// A fresh key of this kind, PEM; it belongs to no certificate.
std::string MakeTestKey(TestKey kind);

}  // namespace starling
