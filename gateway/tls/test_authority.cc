#include "gateway/tls/test_authority.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "gateway/io/clock.h"

namespace starling {
namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "test authority: %s failed\n", what);
  std::abort();
}

int64_t Now() { return WallNow() / 1'000'000; }

bssl::UniquePtr<EVP_PKEY> MakeKey() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  Check(ec && EC_KEY_generate_key(ec.get()) && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()), "key");
  return key;
}

template <typename Write>
std::string Pem(Write write) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  Check(write(bio.get()) && BIO_mem_contents(bio.get(), &data, &size), "PEM");
  return std::string(reinterpret_cast<const char*>(data), size);
}

void SetName(X509_NAME* name, const std::string& common_name) {
  if (common_name.empty()) return;
  Check(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                   reinterpret_cast<const uint8_t*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0),
        "name");
}

void AddNames(GENERAL_NAMES* list, const std::vector<std::string>& names, int type) {
  for (const std::string& name : names) {
    bssl::UniquePtr<GENERAL_NAME> entry(GENERAL_NAME_new());
    bssl::UniquePtr<ASN1_IA5STRING> text(ASN1_IA5STRING_new());
    Check(ASN1_STRING_set(text.get(), name.data(), static_cast<int>(name.size())), "name");
    entry->type = type;
    entry->d.ia5 = text.release();
    Check(bssl::PushToStack(list, std::move(entry)), "name");
  }
}

void AddAddresses(GENERAL_NAMES* list, const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) {
    bssl::UniquePtr<GENERAL_NAME> entry(GENERAL_NAME_new());
    bssl::UniquePtr<ASN1_OCTET_STRING> octets(a2i_IPADDRESS(address.c_str()));
    Check(octets != nullptr, "address");
    entry->type = GEN_IPADD;
    entry->d.iPAddress = octets.release();
    Check(bssl::PushToStack(list, std::move(entry)), "address");
  }
}

bssl::UniquePtr<X509> Begin(EVP_PKEY* key, const std::string& subject, const std::string& issuer,
                            int64_t not_after) {
  static int64_t serial = 1'000;
  bssl::UniquePtr<X509> cert(X509_new());
  Check(X509_set_version(cert.get(), X509_VERSION_3) &&
            ASN1_INTEGER_set_int64(X509_get_serialNumber(cert.get()), serial++) &&
            ASN1_TIME_set_posix(X509_getm_notBefore(cert.get()), Now() - 86'400) &&
            ASN1_TIME_set_posix(X509_getm_notAfter(cert.get()), Now() + not_after) &&
            X509_set_pubkey(cert.get(), key),
        "certificate");
  SetName(X509_get_subject_name(cert.get()), subject);
  SetName(X509_get_issuer_name(cert.get()), issuer);
  return cert;
}

std::string Sign(X509* cert, EVP_PKEY* signer) {
  Check(X509_sign(cert, signer, EVP_sha256()) > 0, "signing");
  return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, cert); });
}

std::string MakeAuthority(EVP_PKEY* key, const std::string& name, const std::string& issuer,
                          EVP_PKEY* signer, int64_t& serial) {
  constexpr int64_t kLife = 10 * 86'400;
  const auto cert = Begin(key, name, issuer, kLife);
  bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
  constraints->ca = ASN1_BOOLEAN_TRUE;
  Check(
      X509_add1_ext_i2d(cert.get(), NID_basic_constraints, constraints.get(), 1, X509V3_ADD_APPEND),
      "constraints");
  Check(ASN1_INTEGER_get_int64(&serial, X509_get0_serialNumber(cert.get())), "serial");
  return Sign(cert.get(), signer);
}

void AddUsage(X509* cert, int purpose) {
  bssl::UniquePtr<EXTENDED_KEY_USAGE> usage(EXTENDED_KEY_USAGE_new());
  bssl::UniquePtr<ASN1_OBJECT> object(OBJ_dup(OBJ_nid2obj(purpose)));
  Check(bssl::PushToStack(usage.get(), std::move(object)) &&
            X509_add1_ext_i2d(cert, NID_ext_key_usage, usage.get(), 0, X509V3_ADD_APPEND),
        "usage");
}

void AddPadding(X509* cert, size_t size) {
  bssl::UniquePtr<ASN1_OBJECT> object(OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1));
  bssl::UniquePtr<ASN1_OCTET_STRING> data(ASN1_OCTET_STRING_new());
  const std::string zeros(size, '\0');
  Check(ASN1_STRING_set(data.get(), zeros.data(), static_cast<int>(size)), "padding");
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, object.get(), 0, data.get()));
  Check(X509_add_ext(cert, extension.get(), -1), "padding");
}

}  // namespace

TestAuthority::TestAuthority(const std::string& name) : name_(name), key_(MakeKey()) {
  cert_ = MakeAuthority(key_.get(), name, name, key_.get(), serial_);
}

TestAuthority::TestAuthority(const std::string& name, const TestAuthority& parent)
    : name_(name), key_(MakeKey()) {
  cert_ = MakeAuthority(key_.get(), name, parent.name_, parent.key_.get(), serial_);
  below_root_ = cert_ + parent.below_root_;
}

TestLeaf TestAuthority::Issue(const TestLeafOptions& options) const {
  const auto key = MakeKey();
  const auto cert = Begin(key.get(), options.common_name, name_, options.not_after);
  if (!options.mails.empty() || !options.hosts.empty() || !options.addresses.empty()) {
    bssl::UniquePtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
    AddNames(names.get(), options.mails, GEN_EMAIL);
    AddNames(names.get(), options.hosts, GEN_DNS);
    AddAddresses(names.get(), options.addresses);
    Check(X509_add1_ext_i2d(cert.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_APPEND),
          "names");
  }
  if (options.server_only) AddUsage(cert.get(), NID_server_auth);
  if (options.client_only) AddUsage(cert.get(), NID_client_auth);
  if (options.padding > 0) AddPadding(cert.get(), options.padding);
  TestLeaf leaf;
  Check(ASN1_INTEGER_get_int64(&leaf.serial, X509_get0_serialNumber(cert.get())), "serial");
  leaf.cert = Sign(cert.get(), key_.get()) + below_root_;
  leaf.key = Pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return leaf;
}

std::string TestAuthority::Revoke(const std::vector<int64_t>& serials, int64_t next_update) const {
  bssl::UniquePtr<X509_CRL> crl(X509_CRL_new());
  bssl::UniquePtr<X509_NAME> issuer(X509_NAME_new());
  SetName(issuer.get(), name_);
  const auto time = [](int64_t seconds) {
    return bssl::UniquePtr<ASN1_TIME>(ASN1_TIME_set_posix(nullptr, Now() + seconds));
  };
  Check(X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) &&
            X509_CRL_set_issuer_name(crl.get(), issuer.get()) &&
            X509_CRL_set1_lastUpdate(crl.get(), time(-7'200).get()) &&
            X509_CRL_set1_nextUpdate(crl.get(), time(next_update).get()),
        "list");
  for (const int64_t serial : serials) {
    bssl::UniquePtr<X509_REVOKED> revoked(X509_REVOKED_new());
    bssl::UniquePtr<ASN1_INTEGER> number(ASN1_INTEGER_new());
    Check(ASN1_INTEGER_set_int64(number.get(), serial) &&
              X509_REVOKED_set_serialNumber(revoked.get(), number.get()) &&
              X509_REVOKED_set_revocationDate(revoked.get(), time(-3'600).get()),
          "list");
    Check(X509_CRL_add0_revoked(crl.get(), revoked.release()), "list");
  }
  Check(X509_CRL_sign(crl.get(), key_.get(), EVP_sha256()) > 0, "signing");
  return Pem([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, crl.get()); });
}

}  // namespace starling
