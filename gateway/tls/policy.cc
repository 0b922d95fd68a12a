#include "gateway/tls/policy.h"

#include <openssl/evp.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "gateway/tls/tls_labels.h"
#include "gateway/tls/tls_names.h"

namespace starling {
namespace {

// In the order of kTlsSuiteNames, where the suites of TLS 1.3 come first.
constexpr size_t kSuites13 = 3;
constexpr uint16_t kSuiteIds[] = {SSL_CIPHER_AES_128_GCM_SHA256,
                                  SSL_CIPHER_AES_256_GCM_SHA384,
                                  SSL_CIPHER_CHACHA20_POLY1305_SHA256,
                                  SSL_CIPHER_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                  SSL_CIPHER_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                                  SSL_CIPHER_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                                  SSL_CIPHER_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                                  SSL_CIPHER_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                  SSL_CIPHER_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256};
static_assert(std::size(kSuiteIds) == std::size(kTlsSuiteNames));

// The strongest suites that some old mail servers support. The CBC suites with SHA-256
// are not better, and the library deprecates them. The gateway offers no static RSA and
// no DHE.
constexpr char kCbcSuites[] =
    ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";

// In the order of kTlsGroupNames, best first: the hybrid group also protects against
// attackers who record traffic today and decrypt it later.
constexpr uint16_t kGroupIds[] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519, SSL_GROUP_SECP256R1,
                                  SSL_GROUP_SECP384R1, SSL_GROUP_SECP521R1};
static_assert(std::size(kGroupIds) == std::size(kTlsGroupNames));
// Without P-521, which is slow and which no client requires. A policy can name it.
constexpr size_t kDefaultGroups = 4;

// In the order of kTlsSignatureNames.
constexpr uint16_t kSignatureIds[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_RSA_PKCS1_SHA512};
static_assert(std::size(kSignatureIds) == std::size(kTlsSignatureNames));
static_assert(std::size(kSignatureIds) + 1 == std::size(kTlsSignatureLabels));

// The indices of an option's `names` in `known`; without names, the first `defaults`
// indices.
template <size_t kCount>
absl::StatusOr<std::vector<size_t>> Indices(const char* option,
                                            const std::vector<std::string>& names,
                                            const std::string_view (&known)[kCount],
                                            size_t defaults) {
  std::vector<size_t> indices;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(known, std::string_view(name));
    if (found == std::end(known)) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": unknown name ", name));
    }
    const auto index = static_cast<size_t>(found - std::begin(known));
    if (std::ranges::find(indices, index) != indices.end()) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": ", name, " appears twice"));
    }
    indices.push_back(index);
  }
  for (size_t i = 0; names.empty() && i < defaults; ++i) indices.push_back(i);
  return indices;
}

bool IsChaCha(size_t suite) {
  return kTlsSuiteNames[suite].find("CHACHA20") != std::string_view::npos;
}

bool IsPkcs1(uint16_t algorithm) {
  return algorithm == SSL_SIGN_RSA_PKCS1_SHA256 || algorithm == SSL_SIGN_RSA_PKCS1_SHA384 ||
         algorithm == SSL_SIGN_RSA_PKCS1_SHA512;
}

// The only signature algorithm of TLS 1.3 for an EC key of this size.
uint16_t SignatureOfCurve(int bits) {
  return bits == 256   ? SSL_SIGN_ECDSA_SECP256R1_SHA256
         : bits == 384 ? SSL_SIGN_ECDSA_SECP384R1_SHA384
                       : SSL_SIGN_ECDSA_SECP521R1_SHA512;
}

// `last`: further suites of TLS 1.2, in the library's notation.
CompiledPolicy::Ciphers CiphersOf(const std::vector<size_t>& suites, const char* last) {
  CompiledPolicy::Ciphers ciphers;
  for (const size_t suite : suites) {
    if (suite < kSuites13) {
      ciphers.tls13.push_back(kSuiteIds[suite]);
    } else {
      absl::StrAppend(&ciphers.tls12, ciphers.tls12.empty() ? "" : ":",
                      std::string(kTlsSuiteNames[suite]));
    }
  }
  ciphers.tls12 += last;
  return ciphers;
}

}  // namespace

absl::StatusOr<CompiledPolicy> Compile(const TlsPolicy& policy) {
  CompiledPolicy compiled;
  compiled.tls12 = policy.tls12;
  compiled.cbc = policy.cbc;
  auto suites = Indices("ciphers", policy.ciphers, kTlsSuiteNames, 0);
  if (!suites.ok()) return suites.status();
  // If the option names no suite of a version, the policy allows all suites of that
  // version.
  for (const bool tls13 : {true, false}) {
    if (std::ranges::any_of(*suites, [&](size_t s) { return (s < kSuites13) == tls13; })) continue;
    const size_t begin = tls13 ? 0 : kSuites13;
    const size_t end = tls13 ? kSuites13 : std::size(kTlsSuiteNames);
    for (size_t i = begin; i < end; ++i) suites->push_back(i);
  }
  const char* const last = policy.cbc ? kCbcSuites : "";
  compiled.ciphers = CiphersOf(*suites, last);
  std::vector<size_t> chacha_first;
  for (const bool wanted : {true, false}) {
    std::ranges::copy_if(*suites, std::back_inserter(chacha_first),
                         [&](size_t suite) { return IsChaCha(suite) == wanted; });
  }
  compiled.chacha_first = CiphersOf(chacha_first, last);

  auto groups = Indices("groups", policy.groups, kTlsGroupNames, kDefaultGroups);
  if (!groups.ok()) return groups.status();
  for (const size_t group : *groups) compiled.groups.push_back(kGroupIds[group]);
  if (policy.tls12 && compiled.groups == std::vector<uint16_t>{SSL_GROUP_X25519_MLKEM768}) {
    return absl::InvalidArgumentError(
        absl::StrCat("groups: ", policy.groups.front(),
                     " works with TLS 1.3 only: add another group, or set min_version to TLSv1.3"));
  }

  auto signatures = Indices("signature_algorithms", policy.signature_algorithms, kTlsSignatureNames,
                            std::size(kTlsSignatureNames));
  if (!signatures.ok()) return signatures.status();
  for (const size_t algorithm : *signatures) {
    compiled.signatures.push_back(kSignatureIds[algorithm]);
  }
  compiled.all_signatures = policy.signature_algorithms.empty();
  return compiled;
}

std::vector<uint16_t> SignaturesFor(const CompiledPolicy& policy, const EVP_PKEY* key) {
  std::vector<uint16_t> algorithms;
  for (const uint16_t algorithm : policy.signatures) {
    if (SSL_get_signature_algorithm_key_type(algorithm) != EVP_PKEY_id(key)) continue;
    // RFC 8446 section 4.2.3: TLS 1.3 does not sign with PKCS #1, and ties each curve to
    // one digest.
    const bool tls13 = EVP_PKEY_id(key) == EVP_PKEY_EC
                           ? algorithm == SignatureOfCurve(EVP_PKEY_bits(key))
                           : !IsPkcs1(algorithm);
    if (policy.tls12 || tls13) algorithms.push_back(algorithm);
  }
  return algorithms;
}

uint8_t SignatureIndex(uint16_t algorithm) {
  return static_cast<uint8_t>(std::ranges::find(kSignatureIds, algorithm) -
                              std::begin(kSignatureIds));
}

}  // namespace starling
