#include "gateway/tls/credential.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/posix_time.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/io/clock.h"
#include "gateway/tls/pem_file.h"

namespace starling {
namespace {

using Chain = std::vector<bssl::UniquePtr<X509>>;

constexpr int64_t kExpiryWarningSeconds = 14 * 86400;
constexpr int kMinRsaBits = 2048;

// SHA-1 is left out (RFC 9155).
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

// A UTC date for messages, "2026-03-01".
std::string Date(int64_t unix_seconds) {
  tm parts = {};
  if (OPENSSL_posix_to_tm(unix_seconds, &parts) != 1) return "?";
  char text[32];
  const size_t n = strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return std::string(text, n);
}

// The passphrase is never asked for at the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Chain> ParseChain(const std::string& path, std::string_view pem) {
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
    return Bad(path, absl::StrCat("certificate ", chain.size() + 1, " of the file is damaged"));
  }
  if (chain.empty()) return Bad(path, "holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
  return chain;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ParseKey(const std::string& path, std::string_view pem) {
  if (pem.find("ENCRYPTED") != std::string_view::npos) {
    return Bad(path, "the private key has a passphrase, which cannot be asked for");
  }
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos) {
    return Bad(path, "holds no PEM private key (-----BEGIN PRIVATE KEY-----)");
  }
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  bssl::UniquePtr<EVP_PKEY> key;
  if (bio != nullptr) {
    key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  }
  ERR_clear_error();
  if (key == nullptr) return Bad(path, "the private key is damaged or of an unknown kind");
  return key;
}

absl::Status DescribeKey(const std::string& path, const EVP_PKEY* key, Credential& credential) {
  const int bits = EVP_PKEY_bits(key);
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
      if (bits != 256 && bits != 384 && bits != 521) {
        return Bad(path, "unsupported curve, expected P-256, P-384 or P-521");
      }
      credential.kind = KeyKind::kEc;
      credential.info.key_type = absl::StrCat("EC", bits);
      return absl::OkStatus();
    case EVP_PKEY_RSA:
      if (bits < kMinRsaBits) {
        return Bad(path,
                   absl::StrCat("RSA key of ", bits, " bits, expected at least ", kMinRsaBits));
      }
      credential.kind = KeyKind::kRsa;
      credential.info.key_type = absl::StrCat("RSA", bits);
      return absl::OkStatus();
    case EVP_PKEY_ED25519:
      credential.kind = KeyKind::kEd25519;
      credential.info.key_type = "ED25519";
      return absl::OkStatus();
    default:
      return Bad(path, "unsupported kind of key, expected EC, RSA or Ed25519");
  }
}

std::string AddressText(const ASN1_OCTET_STRING* address) {
  const uint8_t* data = ASN1_STRING_get0_data(address);
  const int size = ASN1_STRING_length(address);
  if (size == 4) return absl::StrCat(data[0], ".", data[1], ".", data[2], ".", data[3]);
  std::string text;
  for (int i = 0; i + 1 < size; i += 2) {
    absl::StrAppend(&text, i == 0 ? "" : ":", absl::Hex(data[i] << 8 | data[i + 1]));
  }
  return text;
}

std::string Text(const ASN1_STRING* string) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                     static_cast<size_t>(ASN1_STRING_length(string)));
}

// Subject alternative names; the common name only where there are none.
void DescribeNames(const X509* leaf, Credential& credential) {
  std::vector<std::string> names;
  bssl::UniquePtr<GENERAL_NAMES> sans(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  for (size_t i = 0; sans != nullptr && i < sk_GENERAL_NAME_num(sans.get()); i++) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(sans.get(), i);
    if (name->type == GEN_DNS) {
      credential.dns_names.push_back(absl::AsciiStrToLower(Text(name->d.dNSName)));
      names.push_back(credential.dns_names.back());
    } else if (name->type == GEN_IPADD) {
      names.push_back(AddressText(name->d.iPAddress));
    }
  }
  if (sans == nullptr) {
    char common_name[256];
    const int n = X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName,
                                            common_name, sizeof(common_name));
    if (n > 0) {
      credential.dns_names.push_back(
          absl::AsciiStrToLower(std::string(common_name, static_cast<size_t>(n))));
      names = credential.dns_names;
    }
  }
  ERR_clear_error();
  credential.info.names = absl::StrJoin(names, ",");
}

absl::Status CheckValidity(const CertificateInfo& info, int64_t now) {
  if (now < info.not_before) {
    return Bad(info.file, absl::StrCat("is not valid before ", Date(info.not_before)));
  }
  if (now > info.not_after) return Bad(info.file, absl::StrCat("expired ", Date(info.not_after)));
  return absl::OkStatus();
}

bool SignedWithWeakDigest(const X509* cert) {
  int digest = NID_undef;
  if (OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, nullptr) != 1) return false;
  return digest == NID_sha1 || digest == NID_md5;
}

// Warnings that the certificates themselves are reason for.
std::vector<std::string> ChainWarnings(const Chain& chain) {
  std::vector<std::string> warnings;
  for (size_t i = 0; i + 1 < chain.size(); i++) {
    if (X509_NAME_cmp(X509_get_issuer_name(chain[i].get()),
                      X509_get_subject_name(chain[i + 1].get())) != 0) {
      warnings.push_back(absl::StrCat("chain is out of order: certificate ", i + 2,
                                      " did not issue certificate ", i + 1));
    }
  }
  if (SignedWithWeakDigest(chain.front().get())) {
    warnings.push_back("certificate is signed with SHA-1 or MD5, clients will refuse it");
  }
  return warnings;
}

bool FillCredential(const Chain& chain, EVP_PKEY* key, Credential& credential) {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
  std::vector<CRYPTO_BUFFER*> buffers;
  for (const auto& cert : chain) {
    uint8_t* der = nullptr;
    const int size = i2d_X509(cert.get(), &der);
    if (size <= 0) return false;
    owned.emplace_back(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr));
    OPENSSL_free(der);
    if (owned.back() == nullptr) return false;
    buffers.push_back(owned.back().get());
  }
  std::span<const uint16_t> algorithms = kEcAlgorithms;
  if (credential.kind == KeyKind::kRsa) algorithms = kRsaAlgorithms;
  if (credential.kind == KeyKind::kEd25519) algorithms = kEd25519Algorithms;
  credential.ssl.reset(SSL_CREDENTIAL_new_x509());
  return credential.ssl != nullptr &&
         SSL_CREDENTIAL_set1_cert_chain(credential.ssl.get(), buffers.data(), buffers.size()) &&
         SSL_CREDENTIAL_set1_private_key(credential.ssl.get(), key) &&
         SSL_CREDENTIAL_set1_signing_algorithm_prefs(credential.ssl.get(), algorithms.data(),
                                                     algorithms.size());
}

std::array<uint8_t, SHA256_DIGEST_LENGTH> Digest(std::string_view cert, std::string_view key) {
  const uint64_t cert_size = cert.size();
  SHA256_CTX context;
  SHA256_Init(&context);
  // The length separates the two.
  SHA256_Update(&context, &cert_size, sizeof(cert_size));
  SHA256_Update(&context, cert.data(), cert.size());
  SHA256_Update(&context, key.data(), key.size());
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256_Final(digest.data(), &context);
  return digest;
}

absl::StatusOr<std::shared_ptr<Credential>> Parse(const CertificateFiles& files,
                                                  std::string_view cert_pem,
                                                  std::string_view key_pem) {
  auto chain = ParseChain(files.cert, cert_pem);
  if (!chain.ok()) return chain.status();
  auto key = ParseKey(files.key, key_pem);
  if (!key.ok()) return key.status();

  auto credential = std::make_shared<Credential>();
  const X509* leaf = chain->front().get();
  credential->info.file = files.cert;
  if (!ASN1_TIME_to_posix(X509_get0_notBefore(leaf), &credential->info.not_before) ||
      !ASN1_TIME_to_posix(X509_get0_notAfter(leaf), &credential->info.not_after)) {
    ERR_clear_error();
    return Bad(files.cert, "the certificate's dates cannot be read");
  }
  if (auto status = DescribeKey(files.key, key->get(), *credential); !status.ok()) return status;
  if (X509_check_private_key(leaf, key->get()) != 1) {
    ERR_clear_error();
    return Bad(files.key, absl::StrCat("is not the key of the certificate in ", files.cert));
  }
  DescribeNames(leaf, *credential);
  credential->chain_warnings = ChainWarnings(*chain);
  if (!FillCredential(*chain, key->get(), *credential)) {
    ERR_clear_error();
    return Bad(files.cert, "cannot be used for TLS");
  }
  return credential;
}

std::vector<std::string> Warnings(const Credential& credential, int64_t now,
                                  bool key_world_readable, const std::string& key_file) {
  std::vector<std::string> warnings = credential.chain_warnings;
  if (credential.info.not_after - now < kExpiryWarningSeconds) {
    warnings.push_back(absl::StrCat("expires ", Date(credential.info.not_after)));
  }
  if (key_world_readable) {
    warnings.push_back(absl::StrCat("key file ", key_file, " can be read by every user"));
  }
  return warnings;
}

}  // namespace

struct CredentialStore::Impl {
  absl::StatusOr<std::shared_ptr<const Credential>> Load(const CertificateFiles& files,
                                                         std::string_view cert_pem,
                                                         std::string_view key_pem,
                                                         bool key_world_readable);

  // By the names and the content of the two files.
  using Key = std::tuple<std::string, std::string, std::array<uint8_t, 32>>;
  std::map<Key, std::weak_ptr<const Credential>> loaded;
};

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::Impl::Load(
    const CertificateFiles& files, std::string_view cert_pem, std::string_view key_pem,
    bool key_world_readable) {
  std::erase_if(loaded, [](const auto& entry) { return entry.second.expired(); });
  const auto digest = Digest(cert_pem, key_pem);
  Key key(files.cert, files.key, digest);
  std::shared_ptr<const Credential> known;
  if (const auto found = loaded.find(key); found != loaded.end()) known = found->second.lock();

  std::shared_ptr<Credential> fresh;
  if (known != nullptr) {
    fresh = std::make_shared<Credential>(*known);
  } else {
    auto parsed = Parse(files, cert_pem, key_pem);
    if (!parsed.ok()) return parsed.status();
    fresh = *std::move(parsed);
    fresh->digest = digest;
  }
  // Dates and file modes change without the content: judged each time.
  const int64_t now = WallNow() / 1'000'000;
  if (auto status = CheckValidity(fresh->info, now); !status.ok()) return status;
  fresh->info.warnings = Warnings(*fresh, now, key_world_readable, files.key);
  if (known != nullptr && known->info.warnings == fresh->info.warnings) return known;
  loaded[std::move(key)] = fresh;
  return std::shared_ptr<const Credential>(std::move(fresh));
}

CredentialStore::CredentialStore() : impl_(std::make_unique<Impl>()) {}
CredentialStore::~CredentialStore() = default;

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::Load(
    const CertificateFiles& files) {
  auto cert = ReadPemFile(files.cert);
  if (!cert.ok()) return cert.status();
  auto key = ReadPemFile(files.key);
  if (!key.ok()) return key.status();
  auto loaded = impl_->Load(files, cert->text, key->text, key->world_readable);
  OPENSSL_cleanse(key->text.data(), key->text.size());
  return loaded;
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::LoadPem(
    const CertificateFiles& names, std::string_view cert_pem, std::string_view key_pem) {
  return impl_->Load(names, cert_pem, key_pem, false);
}

const CertificateInfo& Info(const Credential& credential) { return credential.info; }

}  // namespace starling
