#include "gateway/tls/certificate_chain.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/posix_time.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/limits.h"

namespace starling {
namespace {

constexpr size_t kMaxCandidates = 8;
constexpr size_t kMaxNamesTold = 5;

bool SelfIssued(const X509* cert) {
  return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

bool SignedBy(X509* cert, const X509* issuer) {
  EVP_PKEY* key = X509_get0_pubkey(issuer);
  const bool signed_by = key != nullptr && X509_verify(cert, key) == 1;
  ERR_clear_error();
  return signed_by;
}

// The position of the issuer of `cert` among the unused (non-null) certificates of `all`;
// all.size() if it is not there. Tries the positions behind `after` first, because most
// files are in the right order.
size_t FindIssuer(const Chain& all, X509* cert, size_t after) {
  std::vector<size_t> candidates;
  for (size_t i = 1; i <= all.size() && candidates.size() < kMaxCandidates; i++) {
    const size_t at = (after + i) % all.size();
    if (all[at] != nullptr && X509_check_issued(all[at].get(), cert) == X509_V_OK) {
      candidates.push_back(at);
    }
  }
  ERR_clear_error();
  if (candidates.empty()) return all.size();
  if (candidates.size() == 1) return candidates.front();
  // Several certificates have the issuer's name: the signature decides.
  const auto signer = std::find_if(candidates.begin(), candidates.end(),
                                   [&](size_t at) { return SignedBy(cert, all[at].get()); });
  return signer == candidates.end() ? candidates.front() : *signer;
}

bool SignedWithWeakDigest(const X509* cert) {
  int digest = NID_undef;
  if (OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, nullptr) != 1) return false;
  return digest == NID_sha1 || digest == NID_md5;
}

std::string ChainText(const Chain& sent) {
  std::vector<std::string> names;
  for (const auto& cert : sent) names.push_back(DisplayName(X509_get_subject_name(cert.get())));
  const X509* last = sent.back().get();
  if (!SelfIssued(last)) {
    names.push_back(absl::StrCat("(", DisplayName(X509_get_issuer_name(last)), ")"));
  }
  return absl::StrJoin(names, " <- ");
}

std::string LeftOutText(const Chain& left) {
  std::vector<std::string> names;
  size_t count = 0;
  for (const auto& cert : left) {
    if (cert == nullptr) continue;
    if (++count <= kMaxNamesTold) names.push_back(DisplayName(X509_get_subject_name(cert.get())));
  }
  if (count > kMaxNamesTold) names.emplace_back("...");
  return absl::StrCat("clients do not get ", count, count == 1 ? " certificate" : " certificates",
                      " that the chain does not need: ", absl::StrJoin(names, ", "));
}

}  // namespace

std::string DateText(int64_t unix_seconds) {
  tm parts = {};
  if (OPENSSL_posix_to_tm(unix_seconds, &parts) != 1) return "?";
  char text[32];
  const size_t n = strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return std::string(text, n);
}

std::string DisplayName(const X509_NAME* name) {
  int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) at = X509_NAME_entry_count(name) - 1;
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, at);
  if (entry == nullptr) return "?";
  uint8_t* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
  if (size <= 0) {
    ERR_clear_error();
    OPENSSL_free(utf8);
    return "?";
  }
  std::string text =
      absl::CHexEscape(std::string(reinterpret_cast<char*>(utf8), static_cast<size_t>(size)));
  OPENSSL_free(utf8);
  return text;
}

OrderedChain OrderChain(Chain certificates, size_t leaf) {
  OrderedChain result;
  bool in_order = leaf == 0;
  size_t at = leaf;
  result.sent.push_back(std::move(certificates[at]));
  while (result.sent.size() < kMaxChainCertificates && !SelfIssued(result.sent.back().get())) {
    const size_t next = FindIssuer(certificates, result.sent.back().get(), at);
    if (next == certificates.size()) break;
    in_order = in_order && next > at;
    at = next;
    result.sent.push_back(std::move(certificates[at]));
  }
  result.text = ChainText(result.sent);
  if (!in_order) {
    result.warnings.emplace_back(
        "the file has the chain in the wrong order; clients get it in the right order");
  }
  if (result.sent.size() < certificates.size()) {
    result.warnings.push_back(LeftOutText(certificates));
  }
  if (SignedWithWeakDigest(result.sent.front().get())) {
    result.warnings.emplace_back(
        "the certificate is signed with SHA-1 or MD5; clients will reject it");
  }
  if (result.sent.size() > 1 && SelfIssued(result.sent.back().get())) {
    result.note = absl::StrCat("the file need not contain the root of the chain: ",
                               DisplayName(X509_get_subject_name(result.sent.back().get())));
  }
  return result;
}

}  // namespace starling
