#include "gateway/tls/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "gateway/io/clock.h"

namespace starling {
namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "test certificate: %s failed\n", what);
  std::abort();
}

bssl::UniquePtr<EVP_PKEY> Generate(TestKey kind) {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  switch (kind) {
    case TestKey::kEcP256:
    case TestKey::kEcP384:
    case TestKey::kEcP224: {
      const int curve = kind == TestKey::kEcP256   ? NID_X9_62_prime256v1
                        : kind == TestKey::kEcP384 ? NID_secp384r1
                                                   : NID_secp224r1;
      bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve));
      Check(ec && EC_KEY_generate_key(ec.get()), "EC key");
      Check(EVP_PKEY_set1_EC_KEY(key.get(), ec.get()), "EC key");
      break;
    }
    case TestKey::kRsa2048:
    case TestKey::kRsa1024: {
      bssl::UniquePtr<RSA> rsa(RSA_new());
      bssl::UniquePtr<BIGNUM> exponent(BN_new());
      Check(BN_set_word(exponent.get(), RSA_F4), "RSA exponent");
      const int bits = kind == TestKey::kRsa2048 ? 2048 : 1024;
      Check(RSA_generate_key_ex(rsa.get(), bits, exponent.get(), nullptr), "RSA key");
      Check(EVP_PKEY_set1_RSA(key.get(), rsa.get()), "RSA key");
      break;
    }
    case TestKey::kEd25519: {
      bssl::UniquePtr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nullptr));
      EVP_PKEY* raw = nullptr;
      Check(EVP_PKEY_keygen_init(ctx.get()) && EVP_PKEY_keygen(ctx.get(), &raw), "Ed25519 key");
      key.reset(raw);
      break;
    }
  }
  return key;
}

EVP_PKEY* Key(TestKey kind) {
  static auto& keys = *new std::map<TestKey, bssl::UniquePtr<EVP_PKEY>>();
  bssl::UniquePtr<EVP_PKEY>& key = keys[kind];
  if (key == nullptr) key = Generate(kind);
  return key.get();
}

std::string Contents(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  Check(BIO_mem_contents(bio, &data, &size), "PEM");
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string KeyPem(EVP_PKEY* key) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  Check(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr),
        "key PEM");
  return Contents(bio.get());
}

std::string CertificatePem(X509* cert) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  Check(PEM_write_bio_X509(bio.get(), cert), "certificate PEM");
  return Contents(bio.get());
}

void SetName(X509_NAME* name, const std::string& common_name) {
  Check(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                   reinterpret_cast<const uint8_t*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0),
        "name");
}

void AddNames(X509* cert, const std::vector<std::string>& names) {
  bssl::UniquePtr<GENERAL_NAMES> list(GENERAL_NAMES_new());
  for (const std::string& name : names) {
    bssl::UniquePtr<GENERAL_NAME> entry(GENERAL_NAME_new());
    bssl::UniquePtr<ASN1_IA5STRING> text(ASN1_IA5STRING_new());
    Check(ASN1_STRING_set(text.get(), name.data(), static_cast<int>(name.size())), "SAN");
    entry->type = GEN_DNS;
    entry->d.dNSName = text.release();
    Check(bssl::PushToStack(list.get(), std::move(entry)), "SAN");
  }
  Check(X509_add1_ext_i2d(cert, NID_subject_alt_name, list.get(), 0, X509V3_ADD_APPEND), "SAN");
}

void AddMustStaple(X509* cert) {
  const uint8_t features[] = {0x30, 0x03, 0x02, 0x01, 0x05};  // SEQUENCE OF INTEGER {5}
  const bssl::UniquePtr<ASN1_OBJECT> oid(OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1));
  const bssl::UniquePtr<ASN1_OCTET_STRING> value(ASN1_OCTET_STRING_new());
  Check(ASN1_OCTET_STRING_set(value.get(), features, sizeof(features)), "TLS feature");
  const bssl::UniquePtr<X509_EXTENSION> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 0, value.get()));
  Check(X509_add_ext(cert, extension.get(), -1), "TLS feature");
}

bssl::UniquePtr<X509> Build(EVP_PKEY* key, const std::string& subject, const std::string& issuer,
                            const TestCertificateOptions& options, bool is_ca, EVP_PKEY* signer) {
  static int64_t serial = 1;
  bssl::UniquePtr<X509> cert(X509_new());
  const int64_t now = WallNow() / 1'000'000;
  Check(X509_set_version(cert.get(), X509_VERSION_3) &&
            ASN1_INTEGER_set_int64(X509_get_serialNumber(cert.get()), serial++) &&
            ASN1_TIME_set_posix(X509_getm_notBefore(cert.get()), now + options.not_before) &&
            ASN1_TIME_set_posix(X509_getm_notAfter(cert.get()), now + options.not_after) &&
            X509_set_pubkey(cert.get(), key),
        "certificate");
  SetName(X509_get_subject_name(cert.get()), subject);
  SetName(X509_get_issuer_name(cert.get()), issuer);
  if (is_ca) {
    bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
    constraints->ca = ASN1_BOOLEAN_TRUE;
    Check(X509_add1_ext_i2d(cert.get(), NID_basic_constraints, constraints.get(), 1,
                            X509V3_ADD_APPEND),
          "constraints");
  } else if (!options.names.empty()) {
    AddNames(cert.get(), options.names);
  }
  if (options.must_staple && !is_ca) AddMustStaple(cert.get());
  const EVP_MD* digest = EVP_PKEY_id(signer) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  Check(X509_sign(cert.get(), signer, digest) > 0, "signing");
  return cert;
}

}  // namespace

TestCertificate MakeTestCertificate(const TestCertificateOptions& options) {
  EVP_PKEY* key = Key(options.key);
  TestCertificate result;
  result.key = KeyPem(key);
  if (!options.with_issuer) {
    const auto leaf = Build(key, options.common_name, options.common_name, options, false, key);
    result.cert = CertificatePem(leaf.get());
    return result;
  }
  EVP_PKEY* ca_key = Key(TestKey::kEcP384);
  const auto leaf = Build(key, options.common_name, "Test CA", options, false, ca_key);
  const auto ca = Build(ca_key, "Test CA", "Test CA", options, true, ca_key);
  result.cert = CertificatePem(leaf.get()) + CertificatePem(ca.get());
  return result;
}

TestChain MakeTestChain(int issuers, const TestCertificateOptions& options) {
  EVP_PKEY* key = Key(options.key);
  EVP_PKEY* ca_key = Key(TestKey::kEcP384);
  const auto name = [&](int i) { return "Test CA " + std::to_string(std::min(i, issuers)); };
  TestChain chain;
  chain.key = KeyPem(key);
  chain.certs.push_back(
      CertificatePem(Build(key, options.common_name, name(1), options, false, ca_key).get()));
  for (int i = 1; i <= issuers; i++) {
    chain.certs.push_back(
        CertificatePem(Build(ca_key, name(i), name(i + 1), options, true, ca_key).get()));
  }
  return chain;
}

std::string MakeTestKey(TestKey kind) { return KeyPem(Generate(kind).get()); }

}  // namespace starling
