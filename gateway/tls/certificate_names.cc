#include "gateway/tls/certificate_names.h"

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/tls/certificate_chain.h"

namespace starling {
namespace {

constexpr size_t kMaxHostName = 253;

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

// Letters, digits, hyphens and, because real certificates contain them, underscores; an
// asterisk only as the whole first label. Names in other alphabets appear as A-labels
// (RFC 5280 section 7.2), in the SNI too (RFC 6066 section 3).
bool IsHostName(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.empty() || name.size() > kMaxHostName || name.front() == '.' || name.back() == '.' ||
      name.find("..") != std::string_view::npos) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<uint8_t>(c)) || c == '-' || c == '_' || c == '.';
  });
}

void AddDnsName(std::string name, CertificateNames& out, std::vector<std::string>& texts) {
  absl::AsciiStrToLower(&name);
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  texts.push_back(absl::CHexEscape(name));  // this text goes into logs and labels
  if (!IsHostName(name)) {
    out.unusable = true;
  } else if (std::find(out.dns.begin(), out.dns.end(), name) == out.dns.end()) {
    out.dns.push_back(std::move(name));
  }
}

}  // namespace

bool ReadNames(const X509* leaf, CertificateNames& out) {
  int critical = 0;
  const bssl::UniquePtr<GENERAL_NAMES> sans(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  constexpr int kAbsent = -1;
  if (sans == nullptr && critical != kAbsent) return false;
  std::vector<std::string> texts;
  for (size_t i = 0; sans != nullptr && i < sk_GENERAL_NAME_num(sans.get()); i++) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(sans.get(), i);
    if (name->type == GEN_DNS) {
      const char* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
      AddDnsName(std::string(data, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))), out,
                 texts);
    } else if (name->type == GEN_IPADD) {
      texts.push_back(AddressText(name->d.iPAddress));
    }
  }
  if (sans == nullptr) {
    AddDnsName(DisplayName(X509_get_subject_name(leaf)), out, texts);
    out.unusable = false;  // a common name need not be a host name
  }
  out.text = absl::StrJoin(texts, ",");
  return true;
}

}  // namespace starling
