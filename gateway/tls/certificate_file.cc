#include "gateway/tls/certificate_file.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/tls/certificate_chain.h"
#include "gateway/tls/certificate_names.h"

namespace starling {
namespace {

constexpr int kMinRsaBits = 2048;
constexpr uint64_t kStatusRequest = 5;  // RFC 7633 section 4.1: must-staple

// id-pe-tlsfeature, 1.3.6.1.5.5.7.1.24
constexpr char kTlsFeature[] = "1.3.6.1.5.5.7.1.24";

// Without SHA-1 (RFC 9155).
constexpr uint16_t kEcAlgorithms[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                      SSL_SIGN_ECDSA_SECP384R1_SHA384,
                                      SSL_SIGN_ECDSA_SECP521R1_SHA512};
constexpr uint16_t kRsaAlgorithms[] = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256,
                                       SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PKCS1_SHA384,
                                       SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA512};
constexpr uint16_t kEd25519Algorithms[] = {SSL_SIGN_ED25519};

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// Keeps the library from asking for a passphrase at the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Chain> ParseChain(const std::string& path, std::string_view pem, bool with_key) {
  ERR_clear_error();
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  Chain chain;
  while (bio != nullptr) {
    bssl::UniquePtr<X509> cert(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
    if (cert == nullptr) break;
    chain.push_back(std::move(cert));
  }
  const uint32_t error = ERR_peek_last_error();
  ERR_clear_error();
  const bool at_end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!at_end) {
    return with_key ? Bad(path, "a certificate or the key in the file is damaged")
                    : Bad(path, absl::StrCat("certificate ", chain.size() + 1,
                                             " in the file is damaged"));
  }
  if (chain.empty()) return Bad(path, "holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
  return chain;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ParseKey(const std::string& path, std::string_view pem) {
  if (pem.find("ENCRYPTED") != std::string_view::npos) {
    return Bad(path, "the private key needs a passphrase; store the key without one");
  }
  if (!HoldsKey(pem)) {
    return Bad(path, "holds no PEM private key (-----BEGIN PRIVATE KEY-----)");
  }
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  bssl::UniquePtr<EVP_PKEY> key;
  if (bio != nullptr) {
    key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  }
  ERR_clear_error();
  if (key == nullptr) return Bad(path, "the private key is damaged or of an unknown type");
  return key;
}

absl::Status DescribeKey(const std::string& path, const EVP_PKEY* key,
                         CertificateMaterial& material) {
  const int bits = EVP_PKEY_bits(key);
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
      if (bits != 256 && bits != 384 && bits != 521) {
        return Bad(path, "unsupported curve, expected P-256, P-384 or P-521");
      }
      material.kind = KeyKind::kEc;
      material.info.key_type = absl::StrCat("EC", bits);
      return absl::OkStatus();
    case EVP_PKEY_RSA:
      if (bits < kMinRsaBits) {
        return Bad(path,
                   absl::StrCat("RSA key of ", bits, " bits, expected at least ", kMinRsaBits));
      }
      material.kind = KeyKind::kRsa;
      material.info.key_type = absl::StrCat("RSA", bits);
      return absl::OkStatus();
    case EVP_PKEY_ED25519:
      material.kind = KeyKind::kEd25519;
      material.info.key_type = "ED25519";
      return absl::OkStatus();
    default:
      return Bad(path, "unsupported type of key, expected EC, RSA or Ed25519");
  }
}

// The position of the certificate that `key` belongs to; chain.size() if it belongs to none
// of them.
size_t FindLeaf(const Chain& chain, const EVP_PKEY* key) {
  const auto leaf = std::find_if(chain.begin(), chain.end(), [&](const auto& cert) {
    return X509_check_private_key(cert.get(), key) == 1;
  });
  ERR_clear_error();
  return static_cast<size_t>(leaf - chain.begin());
}

bool ReadDates(const X509* cert, int64_t& not_before, int64_t& not_after) {
  const bool ok = ASN1_TIME_to_posix(X509_get0_notBefore(cert), &not_before) == 1 &&
                  ASN1_TIME_to_posix(X509_get0_notAfter(cert), &not_after) == 1;
  ERR_clear_error();
  return ok;
}

// RFC 7633 section 4.1: Features ::= SEQUENCE OF INTEGER
bool MustStaple(const X509* leaf) {
  static const ASN1_OBJECT* const oid = OBJ_txt2obj(kTlsFeature, 1);
  const int at = X509_get_ext_by_OBJ(leaf, oid, -1);
  if (at < 0) return false;
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(leaf, at));
  CBS cbs, features;
  CBS_init(&cbs, ASN1_STRING_get0_data(value), static_cast<size_t>(ASN1_STRING_length(value)));
  if (!CBS_get_asn1(&cbs, &features, CBS_ASN1_SEQUENCE)) return false;
  uint64_t feature = 0;
  while (CBS_get_asn1_uint64(&features, &feature)) {
    if (feature == kStatusRequest) return true;
  }
  return false;
}

std::string Octets(const uint8_t* data, size_t size) {
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string Octets(const ASN1_STRING* string) {
  return Octets(ASN1_STRING_get0_data(string), static_cast<size_t>(ASN1_STRING_length(string)));
}

bool DescribeSubject(const Chain& chain, OcspSubject& out) {
  const X509* leaf = chain.front().get();
  uint8_t* der = nullptr;
  const int size = i2d_ASN1_INTEGER(X509_get0_serialNumber(leaf), &der);
  if (size <= 0) return false;
  const bssl::UniquePtr<uint8_t> owned(der);
  CBS integer, serial;
  CBS_init(&integer, der, static_cast<size_t>(size));
  const uint8_t* name = nullptr;
  size_t name_size = 0;
  if (!CBS_get_asn1(&integer, &serial, CBS_ASN1_INTEGER) ||
      !X509_NAME_get0_der(X509_get_issuer_name(leaf), &name, &name_size)) {
    return false;
  }
  out.serial = Octets(CBS_data(&serial), CBS_len(&serial));
  out.issuer_name = Octets(name, name_size);
  if (chain.size() > 1) out.issuer_key = Octets(X509_get0_pubkey_bitstr(chain[1].get()));
  return true;
}

// Fills in the chain to send, the leaf's fingerprint, the issuers' expiry dates and the
// OCSP subject.
bool FillChain(const Chain& chain, CertificateMaterial& material) {
  for (const auto& cert : chain) {
    uint8_t* der = nullptr;
    const int size = i2d_X509(cert.get(), &der);
    if (size <= 0) return false;
    material.chain.emplace_back(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr));
    if (cert == chain.front()) SHA256(der, static_cast<size_t>(size), material.fingerprint.data());
    OPENSSL_free(der);
    if (material.chain.back() == nullptr) return false;
    if (cert == chain.front()) continue;
    CertificateMaterial::Issuer issuer{.name = DisplayName(X509_get_subject_name(cert.get()))};
    int64_t not_before = 0;
    if (!ReadDates(cert.get(), not_before, issuer.not_after)) return false;
    material.issuers.push_back(std::move(issuer));
  }
  return DescribeSubject(chain, material.subject);
}

}  // namespace

bool HoldsCertificate(std::string_view pem) {
  return pem.find("CERTIFICATE-----") != std::string_view::npos;
}

bool HoldsKey(std::string_view pem) {
  return pem.find("PRIVATE KEY-----") != std::string_view::npos;
}

absl::StatusOr<std::shared_ptr<const CertificateMaterial>> ParseCertificate(
    const std::string& cert_file, std::string_view cert_pem, const std::string& key_file,
    std::string_view key_pem) {
  auto certificates = ParseChain(cert_file, cert_pem, cert_file == key_file);
  if (!certificates.ok()) return certificates.status();
  auto key = ParseKey(key_file, key_pem);
  if (!key.ok()) return key.status();
  auto material = std::make_shared<CertificateMaterial>();
  if (auto status = DescribeKey(key_file, key->get(), *material); !status.ok()) return status;
  const size_t leaf = FindLeaf(*certificates, key->get());
  if (leaf == certificates->size()) {
    return Bad(key_file, absl::StrCat("the key does not belong to a certificate in ", cert_file));
  }
  const OrderedChain ordered = OrderChain(*std::move(certificates), leaf);
  const X509* cert = ordered.sent.front().get();
  CertificateInfo& info = material->info;
  if (!ReadDates(cert, info.not_before, info.not_after)) {
    return Bad(cert_file, "cannot read the certificate's dates");
  }
  CertificateNames names;
  if (!ReadNames(cert, names)) {
    return Bad(cert_file, "cannot read the certificate's alternative names");
  }
  for (const std::string& warning : ordered.warnings) {
    material->warnings.push_back(absl::StrCat(cert_file, ": ", warning));
  }
  if (names.unusable) {
    material->warnings.push_back(
        absl::StrCat(cert_file, ": clients cannot request every name of it: ", names.text));
  }
  if (!ordered.note.empty()) material->note = absl::StrCat(cert_file, ": ", ordered.note);
  info.file = cert_file;
  info.names = std::move(names.text);
  info.chain = ordered.text;
  info.must_staple = MustStaple(cert);
  material->dns_names = std::move(names.dns);
  material->key = *std::move(key);
  const bool filled =
      FillChain(ordered.sent, *material) && MakeSslCredential(*material, {}) != nullptr;
  ERR_clear_error();
  if (!filled) return Bad(cert_file, "the TLS library does not accept the certificate");
  return std::shared_ptr<const CertificateMaterial>(std::move(material));
}

bssl::UniquePtr<SSL_CREDENTIAL> MakeSslCredential(const CertificateMaterial& material,
                                                  std::span<const uint8_t> ocsp) {
  std::vector<CRYPTO_BUFFER*> chain;
  chain.reserve(material.chain.size());
  for (const auto& cert : material.chain) chain.push_back(cert.get());
  std::span<const uint16_t> algorithms = kEcAlgorithms;
  if (material.kind == KeyKind::kRsa) algorithms = kRsaAlgorithms;
  if (material.kind == KeyKind::kEd25519) algorithms = kEd25519Algorithms;
  bssl::UniquePtr<SSL_CREDENTIAL> made(SSL_CREDENTIAL_new_x509());
  bool ok =
      made != nullptr && SSL_CREDENTIAL_set1_cert_chain(made.get(), chain.data(), chain.size()) &&
      SSL_CREDENTIAL_set1_private_key(made.get(), material.key.get()) &&
      SSL_CREDENTIAL_set1_signing_algorithm_prefs(made.get(), algorithms.data(), algorithms.size());
  if (ok && !ocsp.empty()) {
    const bssl::UniquePtr<CRYPTO_BUFFER> response(
        CRYPTO_BUFFER_new(ocsp.data(), ocsp.size(), nullptr));
    ok = response != nullptr && SSL_CREDENTIAL_set1_ocsp_response(made.get(), response.get());
  }
  ERR_clear_error();
  if (!ok) made.reset();
  return made;
}

}  // namespace starling
