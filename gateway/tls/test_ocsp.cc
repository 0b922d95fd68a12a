#include "gateway/tls/test_ocsp.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/posix_time.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "gateway/io/clock.h"

namespace starling {
namespace {

constexpr CBS_ASN1_TAG kContext = CBS_ASN1_CONTEXT_SPECIFIC;
constexpr CBS_ASN1_TAG kExplicit = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED;
constexpr uint8_t kSha1[] = {0x2b, 0x0e, 0x03, 0x02, 0x1a};
constexpr uint8_t kSha256[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
constexpr uint8_t kEcdsaSha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

void Check(bool ok) {
  if (ok) return;
  std::fprintf(stderr, "test OCSP response: failed\n");
  std::abort();
}

bssl::UniquePtr<X509> Read(const std::string& pem) {
  const bssl::UniquePtr<BIO> bio(
      BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  bssl::UniquePtr<X509> cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  Check(cert != nullptr);
  return cert;
}

void Add(CBB* cbb, CBS_ASN1_TAG tag, const uint8_t* data, size_t size) {
  CBB child;
  Check(CBB_add_asn1(cbb, &child, tag) && CBB_add_bytes(&child, data, size) && CBB_flush(cbb));
}

void AddTime(CBB* cbb, int64_t from_now) {
  tm parts = {};
  Check(OPENSSL_posix_to_tm(WallNow() / 1'000'000 + from_now, &parts) == 1);
  char text[32];
  const size_t size = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &parts);
  Add(cbb, CBS_ASN1_GENERALIZEDTIME, reinterpret_cast<const uint8_t*>(text), size);
}

void AddHash(CBB* cbb, bool sha256, const uint8_t* data, size_t size, bool wrong) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned digest_size = 0;
  Check(EVP_Digest(data, size, digest, &digest_size, sha256 ? EVP_sha256() : EVP_sha1(), nullptr));
  if (wrong) digest[0] ^= 1;
  Add(cbb, CBS_ASN1_OCTETSTRING, digest, digest_size);
}

void AddCertId(CBB* single, const X509* leaf, const X509* issuer, const TestOcspOptions& options) {
  CBB cert_id, algorithm;
  Check(CBB_add_asn1(single, &cert_id, CBS_ASN1_SEQUENCE) &&
        CBB_add_asn1(&cert_id, &algorithm, CBS_ASN1_SEQUENCE));
  if (options.sha256) {
    Add(&algorithm, CBS_ASN1_OBJECT, kSha256, sizeof(kSha256));
  } else {
    Add(&algorithm, CBS_ASN1_OBJECT, kSha1, sizeof(kSha1));
  }
  Check(CBB_flush(&cert_id));
  const uint8_t* name = nullptr;
  size_t name_size = 0;
  Check(X509_NAME_get0_der(X509_get_issuer_name(leaf), &name, &name_size));
  AddHash(&cert_id, options.sha256, name, name_size, options.wrong_issuer_name);
  const ASN1_BIT_STRING* key = X509_get0_pubkey_bitstr(issuer);
  AddHash(&cert_id, options.sha256, ASN1_STRING_get0_data(key),
          static_cast<size_t>(ASN1_STRING_length(key)), options.wrong_issuer_key);
  int64_t serial = 0;
  Check(ASN1_INTEGER_get_int64(&serial, X509_get0_serialNumber(leaf)));
  Check(CBB_add_asn1_int64(&cert_id, serial + (options.wrong_serial ? 1'000'000 : 0)) &&
        CBB_flush(single));
}

void AddSingle(CBB* responses, const X509* leaf, const X509* issuer,
               const TestOcspOptions& options) {
  CBB single, status, next;
  Check(CBB_add_asn1(responses, &single, CBS_ASN1_SEQUENCE));
  AddCertId(&single, leaf, issuer, options);
  if (options.status == TestOcspOptions::Status::kRevoked) {
    Check(CBB_add_asn1(&single, &status, kExplicit | 1));
    AddTime(&status, options.this_update);
  } else {
    const bool good = options.status == TestOcspOptions::Status::kGood;
    Check(CBB_add_asn1(&single, &status, kContext | (good ? 0 : 2)));
  }
  Check(CBB_flush(&single));
  AddTime(&single, options.this_update);
  if (options.next_update != 0) {
    Check(CBB_add_asn1(&single, &next, kExplicit | 0));
    AddTime(&next, options.next_update);
  }
  if (options.extensions) Add(&single, kExplicit | 1, nullptr, 0);
  Check(CBB_flush(responses));
}

void AddResponseData(CBB* basic, const X509* leaf, const X509* issuer,
                     const TestOcspOptions& options) {
  CBB data, version, responder, responses;
  Check(CBB_add_asn1(basic, &data, CBS_ASN1_SEQUENCE));
  if (options.extensions) {
    Check(CBB_add_asn1(&data, &version, kExplicit | 0) && CBB_add_asn1_uint64(&version, 0));
  }
  Check(CBB_add_asn1(&data, &responder, kExplicit | 2));  // the hash of its key
  const uint8_t key_hash[20] = {};
  Add(&responder, CBS_ASN1_OCTETSTRING, key_hash, sizeof(key_hash));
  Check(CBB_flush(&data));
  AddTime(&data, options.this_update);
  Check(CBB_add_asn1(&data, &responses, CBS_ASN1_SEQUENCE));
  TestOcspOptions other;
  other.wrong_serial = true;
  other.status = TestOcspOptions::Status::kRevoked;
  for (int i = 0; i < options.others; i++) AddSingle(&responses, leaf, issuer, other);
  AddSingle(&responses, leaf, issuer, options);
  if (options.extensions) Add(&data, kExplicit | 1, nullptr, 0);
  Check(CBB_flush(basic));
}

}  // namespace

std::string MakeTestOcsp(const std::string& leaf_pem, const std::string& issuer_pem,
                         const TestOcspOptions& options) {
  const bssl::UniquePtr<X509> leaf = Read(leaf_pem), issuer = Read(issuer_pem);
  bssl::ScopedCBB cbb;
  CBB response, frame, bytes, octets, basic, algorithm;
  Check(CBB_init(cbb.get(), 1024) && CBB_add_asn1(cbb.get(), &response, CBS_ASN1_SEQUENCE));
  Add(&response, CBS_ASN1_ENUMERATED, &options.response_status, 1);
  if (options.response_status == 0) {
    uint8_t type[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
    if (!options.basic) type[sizeof(type) - 1] = 0x7f;
    Check(CBB_add_asn1(&response, &frame, kExplicit | 0) &&
          CBB_add_asn1(&frame, &bytes, CBS_ASN1_SEQUENCE));
    Add(&bytes, CBS_ASN1_OBJECT, type, sizeof(type));
    Check(CBB_add_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING) &&
          CBB_add_asn1(&octets, &basic, CBS_ASN1_SEQUENCE));
    AddResponseData(&basic, leaf.get(), issuer.get(), options);
    Check(CBB_add_asn1(&basic, &algorithm, CBS_ASN1_SEQUENCE));
    Add(&algorithm, CBS_ASN1_OBJECT, kEcdsaSha256, sizeof(kEcdsaSha256));
    const uint8_t signature[] = {0, 's', 'i', 'g', 'n', 'e', 'd'};
    Add(&basic, CBS_ASN1_BITSTRING, signature, sizeof(signature));
    if (options.extensions) Add(&basic, kExplicit | 0, nullptr, 0);
  }
  uint8_t* der = nullptr;
  size_t size = 0;
  Check(CBB_finish(cbb.get(), &der, &size));
  const bssl::UniquePtr<uint8_t> owned(der);
  return std::string(reinterpret_cast<char*>(der), size);
}

}  // namespace starling
