#include "gateway/tls/ocsp_response.h"

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/posix_time.h>

#include <string_view>

#include "absl/strings/str_cat.h"

namespace starling {
namespace {

constexpr CBS_ASN1_TAG kContext = CBS_ASN1_CONTEXT_SPECIFIC;
constexpr CBS_ASN1_TAG kExplicit = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED;

// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1
constexpr uint8_t kBasicResponse[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};

// RFC 6960 section 4.2.1.
constexpr uint8_t kSuccessful = 0, kTryLater = 3;

bool Equals(const CBS& cbs, std::string_view text) {
  return CBS_mem_equal(&cbs, reinterpret_cast<const uint8_t*>(text.data()), text.size()) == 1;
}

bool GetTime(CBS* cbs, int64_t& out) {
  CBS time;
  tm parts = {};
  return CBS_get_asn1(cbs, &time, CBS_ASN1_GENERALIZEDTIME) &&
         CBS_parse_generalized_time(&time, &parts, 0) && OPENSSL_tm_to_posix(&parts, &out);
}

bool GetExplicitTime(CBS* cbs, int64_t& out) {
  CBS inner;
  return CBS_get_asn1(cbs, &inner, kExplicit | 0) && GetTime(&inner, out) && CBS_len(&inner) == 0;
}

bool SkipOptional(CBS* cbs, CBS_ASN1_TAG tag) {
  return CBS_get_optional_asn1(cbs, nullptr, nullptr, tag) == 1;
}

// Checks the outer structure and gets the ResponseData inside it.
absl::Status GetResponseData(std::span<const uint8_t> der, CBS& data) {
  absl::Status damaged =
      absl::InvalidArgumentError("not an OCSP response in DER, or a damaged one");
  CBS whole, response, status, bytes_frame, bytes, type, octets, basic, rest;
  CBS_init(&whole, der.data(), der.size());
  uint8_t code = 0;
  if (!CBS_get_asn1(&whole, &response, CBS_ASN1_SEQUENCE) || CBS_len(&whole) != 0 ||
      !CBS_get_asn1(&response, &status, CBS_ASN1_ENUMERATED) || !CBS_get_u8(&status, &code) ||
      CBS_len(&status) != 0) {
    return damaged;
  }
  if (code != kSuccessful) {
    return absl::InvalidArgumentError(
        absl::StrCat("the responder sent an error (status ", code,
                     code == kTryLater ? ", try later)" : ") instead of a response"));
  }
  if (!CBS_get_asn1(&response, &bytes_frame, kExplicit | 0) || CBS_len(&response) != 0 ||
      !CBS_get_asn1(&bytes_frame, &bytes, CBS_ASN1_SEQUENCE) || CBS_len(&bytes_frame) != 0 ||
      !CBS_get_asn1(&bytes, &type, CBS_ASN1_OBJECT) ||
      !CBS_get_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING) || CBS_len(&bytes) != 0) {
    return damaged;
  }
  if (!CBS_mem_equal(&type, kBasicResponse, sizeof(kBasicResponse))) {
    return absl::InvalidArgumentError("the OCSP response has an unknown type, expected basic");
  }
  if (!CBS_get_asn1(&octets, &basic, CBS_ASN1_SEQUENCE) || CBS_len(&octets) != 0 ||
      !CBS_get_asn1(&basic, &data, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&basic, &rest, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&basic, &rest, CBS_ASN1_BITSTRING) || !SkipOptional(&basic, kExplicit | 0) ||
      CBS_len(&basic) != 0) {
    return damaged;
  }
  return absl::OkStatus();
}

// Gets the list of SingleResponses out of the ResponseData.
bool GetResponses(CBS* data, CBS* responses) {
  CBS responder;
  CBS_ASN1_TAG tag = 0;
  int64_t produced_at = 0;
  return SkipOptional(data, kExplicit | 0) && CBS_get_any_asn1(data, &responder, &tag) &&
         (tag == (kExplicit | 1) || tag == (kExplicit | 2)) && GetTime(data, produced_at) &&
         CBS_get_asn1(data, responses, CBS_ASN1_SEQUENCE) && SkipOptional(data, kExplicit | 1) &&
         CBS_len(data) == 0;
}

bool DigestIs(const EVP_MD* digest, std::string_view of, const CBS& expected) {
  uint8_t value[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return EVP_Digest(of.data(), of.size(), value, &size, digest, nullptr) == 1 &&
         CBS_mem_equal(&expected, value, size) == 1;
}

// False if `cert_id` is malformed. `ours` says whether it identifies `subject`.
bool MatchCertId(CBS* cert_id, const OcspSubject& subject, bool& ours) {
  CBS algorithm, oid, name_hash, key_hash, serial;
  if (!CBS_get_asn1(cert_id, &algorithm, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) ||
      !CBS_get_asn1(cert_id, &name_hash, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(cert_id, &key_hash, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(cert_id, &serial, CBS_ASN1_INTEGER) || CBS_len(cert_id) != 0) {
    return false;
  }
  const EVP_MD* const digest = EVP_get_digestbynid(OBJ_cbs2nid(&oid));
  ours = Equals(serial, subject.serial) && digest != nullptr &&
         DigestIs(digest, subject.issuer_name, name_hash) &&
         (subject.issuer_key.empty() || DigestIs(digest, subject.issuer_key, key_hash));
  return true;
}

bool GetStatus(CBS* single, OcspResponse& out) {
  CBS body;
  CBS_ASN1_TAG tag = 0;
  if (!CBS_get_any_asn1(single, &body, &tag)) return false;
  if (tag == (kExplicit | 1)) {
    out.status = OcspResponse::Status::kRevoked;
    return GetTime(&body, out.revoked_at) && SkipOptional(&body, kExplicit | 0) &&
           CBS_len(&body) == 0;
  }
  out.status = tag == (kContext | 0) ? OcspResponse::Status::kGood : OcspResponse::Status::kUnknown;
  return (tag == (kContext | 0) || tag == (kContext | 2)) && CBS_len(&body) == 0;
}

bool GetSingle(CBS* single, const OcspSubject& subject, OcspResponse& out, bool& ours) {
  CBS cert_id;
  if (!CBS_get_asn1(single, &cert_id, CBS_ASN1_SEQUENCE) || !MatchCertId(&cert_id, subject, ours) ||
      !GetStatus(single, out) || !GetTime(single, out.this_update)) {
    return false;
  }
  if (CBS_peek_asn1_tag(single, kExplicit | 0) && !GetExplicitTime(single, out.next_update)) {
    return false;
  }
  return SkipOptional(single, kExplicit | 1) && CBS_len(single) == 0;
}

}  // namespace

absl::StatusOr<OcspResponse> ParseOcspResponse(std::span<const uint8_t> der,
                                               const OcspSubject& subject) {
  CBS data, responses;
  if (absl::Status status = GetResponseData(der, data); !status.ok()) return status;
  if (!GetResponses(&data, &responses)) {
    return absl::InvalidArgumentError("the OCSP response is damaged");
  }
  while (CBS_len(&responses) > 0) {
    CBS single;
    OcspResponse response;
    bool ours = false;
    if (!CBS_get_asn1(&responses, &single, CBS_ASN1_SEQUENCE) ||
        !GetSingle(&single, subject, response, ours)) {
      return absl::InvalidArgumentError("the OCSP response is damaged");
    }
    if (ours) return response;
  }
  return absl::InvalidArgumentError("the OCSP response is about another certificate");
}

}  // namespace starling
