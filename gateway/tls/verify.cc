#include "gateway/tls/verify.h"

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <optional>
#include <utility>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/text/characters.h"

namespace starling {
namespace {

constexpr size_t kMaxName = 256;

using Chain = std::vector<bssl::UniquePtr<X509>>;

// Empty if an element is not a certificate, or if the chain is too long.
Chain ParseChain(const SSL* ssl) {
  Chain chain;
  const STACK_OF(CRYPTO_BUFFER)* sent = SSL_get0_peer_certificates(ssl);
  if (sent == nullptr || sk_CRYPTO_BUFFER_num(sent) > kMaxChainCertificates) return chain;
  for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(sent); ++i) {
    bssl::UniquePtr<X509> cert(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(sent, i)));
    if (cert == nullptr) {
      ERR_clear_error();
      return {};
    }
    chain.push_back(std::move(cert));
  }
  return chain;
}

uint8_t AlertOf(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return SSL_AD_CERTIFICATE_EXPIRED;
    case X509_V_ERR_CERT_REVOKED:
      return SSL_AD_CERTIFICATE_REVOKED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
      return SSL_AD_UNKNOWN_CA;
    case X509_V_ERR_INVALID_PURPOSE:
      return SSL_AD_UNSUPPORTED_CERTIFICATE;
    // The certificate may be good; it is the gateway that lacks a current list.
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return SSL_AD_CERTIFICATE_UNKNOWN;
    case X509_V_ERR_OUT_OF_MEM:
      return SSL_AD_INTERNAL_ERROR;
    default:
      return SSL_AD_BAD_CERTIFICATE;
  }
}

bool SetHost(X509_VERIFY_PARAM* param, std::string_view host) {
  if (host.empty()) return true;
  const std::string text(host);
  if (X509_VERIFY_PARAM_set1_ip_asc(param, text.c_str()) == 1) return true;
  ERR_clear_error();
  // RFC 9525 section 2: only alternative names identify a server.
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(param, text.data(), text.size()) == 1;
}

// Ignores a missing revocation list, except one of the certificate's own issuer.
int OnVerified(int ok, X509_STORE_CTX* context) {
  if (ok == 1 || X509_STORE_CTX_get_error(context) != X509_V_ERR_UNABLE_TO_GET_CRL ||
      X509_STORE_CTX_get_error_depth(context) == 0) {
    return ok;
  }
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

// Whether the text is safe in a header and a log: bounded and without control characters,
// which some readers would take for a different name.
bool IsPlain(std::string_view text) { return text.size() <= kMaxName && !HasControl(text); }

// The first common name; empty if the certificate has no common name; nullopt if it is
// unreadable.
std::optional<std::string> CommonName(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index < 0) return "";
  const ASN1_STRING* data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
  uint8_t* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, data);
  if (size < 0) {
    ERR_clear_error();
    return std::nullopt;
  }
  std::string text(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

// The first mail address or DNS name among the alternative names; may be empty.
std::string AlternativeName(const X509* cert) {
  bssl::UniquePtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  for (size_t i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_EMAIL && name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = name->type == GEN_EMAIL ? name->d.rfc822Name : name->d.dNSName;
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            static_cast<size_t>(ASN1_STRING_length(text))};
  }
  return "";
}

}  // namespace

size_t ChainSize(const SSL* ssl) {
  const STACK_OF(CRYPTO_BUFFER)* sent = SSL_get0_peer_certificates(ssl);
  size_t size = 0;
  for (size_t i = 0; sent != nullptr && i < sk_CRYPTO_BUFFER_num(sent); ++i) {
    size += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(sent, i));
  }
  return size;
}

bool VerifyPeer(const SSL* ssl, const TrustStore& trust, TrustPurpose purpose,
                std::string_view host, uint8_t& alert) {
  alert = SSL_AD_BAD_CERTIFICATE;
  const TrustStore::Impl& impl = trust.impl();
  Chain chain = ParseChain(ssl);
  if (chain.empty()) return false;
  bssl::UniquePtr<STACK_OF(X509)> others(sk_X509_new_null());
  for (size_t i = 1; i < chain.size(); ++i) {
    bssl::PushToStack(others.get(), bssl::UpRef(chain[i]));
  }
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (context == nullptr || X509_STORE_CTX_init(context.get(), impl.store.get(),
                                                chain.front().get(), others.get()) != 1) {
    ERR_clear_error();
    return false;
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_purpose(
      param, purpose == TrustPurpose::kClient ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_depth(param, static_cast<int>(impl.depth));
  X509_VERIFY_PARAM_set_time_posix(param, WallNow() / 1'000'000);
  // Trusts every authority in the file, including those that another authority signed.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  if (impl.check_crl) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(param, flags);
  X509_STORE_CTX_set_verify_cb(context.get(), OnVerified);
  const bool verified = SetHost(param, host) && X509_verify_cert(context.get()) == 1;
  if (!verified) alert = AlertOf(X509_STORE_CTX_get_error(context.get()));
  ERR_clear_error();
  return verified && (purpose == TrustPurpose::kServer ||
                      IdentityOf(ssl, true).result == ClientCertificateResult::kVerified);
}

PeerIdentity IdentityOf(const SSL* ssl, bool verified) {
  PeerIdentity identity;
  if (!verified) return identity;
  const Chain chain = ParseChain(ssl);
  if (chain.empty()) return identity;
  const X509* cert = chain.front().get();
  std::optional<std::string> name = CommonName(X509_get_subject_name(cert));
  if (name && name->empty()) name = AlternativeName(cert);
  std::optional<std::string> issuer = CommonName(X509_get_issuer_name(cert));
  if (!name || !issuer || !IsPlain(*name) || !IsPlain(*issuer)) return identity;
  identity.result = ClientCertificateResult::kVerified;
  identity.name = *std::move(name);
  identity.issuer = *std::move(issuer);
  return identity;
}

}  // namespace starling
