// The TLS library gets no memory for a store of authorities, a list of their names, or a context:
// making it fails with an error, or what was made is whole.
//
// One allocation after the other fails. Inside the library's own parsing that ends the process, so
// the gateway does not deny it any (memory_reserve.h) and the tests leave it out.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "gateway/tls/credential_testing.h"
#include "gateway/tls/test_authority.h"
#include "gateway/tls/tls_context.h"
#include "gateway/tls/trust_store.h"
#include "gateway/tls/upstream_tls.h"
#include "gateway/tls/verify.h"

namespace {

// The allocation that fails, counted from now on; 0: none.
size_t denied_in = 0;
bool denied = false;

constexpr size_t kHeader = 16;
// A store, its list of objects, the list of names.
constexpr size_t kBeforeParsing = 4;

}  // namespace

// The library's own hooks (memory_reserve.cc has the gateway's).
extern "C" {

void* OPENSSL_memory_alloc(size_t size) {
  if (denied_in != 0 && --denied_in == 0) {
    denied = true;
    return nullptr;
  }
  char* const block = static_cast<char*>(std::malloc(size + kHeader));
  if (block == nullptr) return nullptr;
  *reinterpret_cast<size_t*>(block) = size;
  return block + kHeader;
}

size_t OPENSSL_memory_get_size(void* memory) {
  return memory == nullptr ? 0 : *reinterpret_cast<size_t*>(static_cast<char*>(memory) - kHeader);
}

void OPENSSL_memory_free(void* memory) {
  if (memory != nullptr) std::free(static_cast<char*>(memory) - kHeader);
}

}  // extern "C"

namespace starling {
namespace {

class DeniedMemory : public CredentialFolderTest {
 protected:
  ~DeniedMemory() override { denied_in = 0; }

  // `load` fails, or what it made is whole, which it looks at itself.
  // `most`: of the first allocations.
  static void DenyEach(const std::function<bool()>& load, size_t most = SIZE_MAX) {
    ASSERT_TRUE(load());
    size_t failed = 0;
    size_t number = 1;
    for (denied = true; denied && number <= most; ++number) {
      denied = false;
      denied_in = number;
      failed += load() ? 0 : 1;
      denied_in = 0;
      ERR_clear_error();
    }
    EXPECT_GT(failed, 0u);
    EXPECT_TRUE(load());
  }
};

TEST_F(DeniedMemory, AuthoritiesAndRevocationLists) {
  const TestAuthority one("one");
  const TestAuthority two("two");
  const std::string ca = Put("ca.pem", one.cert() + two.cert());
  const std::string crl = Put("crl.pem", one.Revoke({1, 2}));
  DenyEach(
      [&] {
        const auto loaded = TrustStore::Load(ca, crl, 1);
        denied_in = 0;
        if (!loaded.ok()) return false;
        const TrustStore::Impl& made = (*loaded)->impl();
        EXPECT_EQ(sk_X509_OBJECT_num(X509_STORE_get0_objects(made.store.get())), 3u);
        EXPECT_EQ(sk_CRYPTO_BUFFER_num(made.names.get()), 2u);
        for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(made.names.get()); ++i) {
          EXPECT_NE(sk_CRYPTO_BUFFER_value(made.names.get(), i), nullptr);
        }
        return true;
      },
      kBeforeParsing);
}

TEST_F(DeniedMemory, ContextsOfClientsAndServers) {
  const CertificateSource source = Put(MakeTestCertificate());
  const CertificateSet set = store_.LoadAll({&source, 1}, 10);
  const TestAuthority one("one");
  const TestAuthority two("two");
  const auto trust = TrustStore::Load(Put("ca.pem", one.cert() + two.cert()), "", 1);
  ASSERT_TRUE(trust.ok());
  TlsPolicy policy = {.certificates = MakeCredentialIndex(set.credentials),
                      .tickets = MakeTicketKeys()};
  policy.client_certificate = ClientCertificateMode::kRequire;
  policy.client_trust = *trust;
  DenyEach([&] { return TlsContext::Create(policy).ok(); });
  const UpstreamTlsPolicy upstream = {
      .trust = *trust, .name = "mail.example.org", .certificate = set.credentials.front()};
  DenyEach([&] { return UpstreamTls::Create(upstream, 3).ok(); });
}

}  // namespace
}  // namespace starling
