// A test fixture that makes contexts from policies, with an EC and an RSA certificate for
// mail.example.org.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/tls_context.h"

namespace starling {

inline constexpr uint16_t kTls10 = 0x0301, kTls11 = 0x0302, kTls12 = 0x0303, kTls13 = 0x0304;

class TlsPolicyTest : public testing::Test {
 protected:
  std::shared_ptr<const Credential> Load(TestKey key, std::vector<std::string> names) {
    TestCertificateOptions options;
    options.key = key;
    options.names = std::move(names);
    return Load(options);
  }
  std::shared_ptr<const Credential> Load(const TestCertificateOptions& options) {
    const TestCertificate made = MakeTestCertificate(options);
    auto loaded = store_.LoadPem({"test.crt", "test.key"}, made.cert, made.key);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *loaded;
  }

  // With ticket keys of its own.
  TlsPolicy Policy() { return {.certificates = index_, .tickets = MakeTicketKeys()}; }

  // A policy without ticket keys gets its own.
  static std::unique_ptr<TlsContext> Make(TlsPolicy policy) {
    if (policy.tickets == nullptr) policy.tickets = MakeTicketKeys();
    auto context = TlsContext::Create(policy);
    EXPECT_TRUE(context.ok()) << context.status();
    return context.ok() ? *std::move(context) : nullptr;
  }

  // A client that offers only this version.
  static TestClientOptions Version(uint16_t version) {
    TestClientOptions options;
    options.min_version = options.max_version = version;
    return options;
  }

  CredentialStore store_;
  std::shared_ptr<const Credential> ec_ = Load(TestKey::kEcP256, {"mail.example.org"});
  std::shared_ptr<const Credential> rsa_ = Load(TestKey::kRsa2048, {"mail.example.org"});
  std::shared_ptr<const CredentialIndex> index_ = MakeCredentialIndex({ec_, rsa_});
};

}  // namespace starling
