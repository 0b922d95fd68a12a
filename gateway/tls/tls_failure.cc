#include "gateway/tls/tls_failure.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace starling {
namespace {

TlsFailure FromReason(int reason) {
  // For an alert from the peer, the reason is an offset plus the alert's description.
  if (reason >= SSL_AD_REASON_OFFSET) {
    return FailureOfAlert(static_cast<uint8_t>(reason - SSL_AD_REASON_OFFSET));
  }
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
      return TlsFailure::kNoSharedVersion;
    case SSL_R_NO_SHARED_CIPHER:
      return TlsFailure::kNoSharedCipher;
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_WRONG_CURVE:
      return TlsFailure::kNoSharedGroup;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kNoApplicationProtocol;
    case SSL_R_NO_CERTIFICATE_SET:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
    case SSL_R_UNKNOWN_CERTIFICATE_TYPE:
      return TlsFailure::kNoCertificate;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return TlsFailure::kClientCertificateMissing;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_BAD_SIGNATURE:  // the peer signed with a key other than its certificate's
      return TlsFailure::kClientCertificateInvalid;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return TlsFailure::kNotTls;
    case SSL_R_INAPPROPRIATE_FALLBACK:
      return TlsFailure::kInappropriateFallback;
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
      return TlsFailure::kRecordOverflow;
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
    case SSL_R_UNCOMPRESSED_CERT_TOO_LARGE:
      return TlsFailure::kMessageTooLarge;
    case SSL_R_DECRYPTION_FAILED:
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_WRONG_VERSION_NUMBER:
      return TlsFailure::kBadRecord;
    default:
      return TlsFailure::kProtocol;
  }
}

}  // namespace

TlsFailure FailureOfAlert(uint8_t description) {
  switch (description) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
      return TlsFailure::kCertificateRejected;
    default:
      return TlsFailure::kPeerAlert;
  }
}

TlsFailure TakeFailure() {
  // The oldest entry from the TLS layer is the cause. Entries from other layers are
  // details.
  TlsFailure failure = TlsFailure::kProtocol;
  while (const uint32_t error = ERR_get_error()) {
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) continue;
    failure = FromReason(ERR_GET_REASON(error));
    break;
  }
  ERR_clear_error();
  return failure;
}

}  // namespace starling
