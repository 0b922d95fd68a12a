#include "gateway/tls/trust_store.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/tls/certificate_chain.h"
#include "gateway/tls/pem_file.h"
#include "gateway/tls/verify.h"

namespace starling {
namespace {

constexpr char kSystemFile[] = "/etc/ssl/certs/ca-certificates.crt";

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(what)));
}

absl::Status NoMemory(const std::string& path) {
  return absl::ResourceExhaustedError(absl::StrCat(path, ": the system denies memory"));
}

// Whether reading PEM ended because the text has no more of it.
bool AtEnd() {
  const uint32_t error = ERR_peek_last_error();
  ERR_clear_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

bssl::UniquePtr<BIO> BioOf(const std::string& text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
}

class Builder {
 public:
  Builder() : impl_(std::make_unique<TrustStore::Impl>()) {
    SHA256_Init(&hash_);
    impl_->store.reset(X509_STORE_new());
    impl_->names.reset(sk_CRYPTO_BUFFER_new_null());
  }

  // Memory was denied.
  bool failed() const { return impl_->store == nullptr || impl_->names == nullptr; }

  absl::Status AddAuthorities(const std::string& path, const PemFile& file) {
    const std::string& text = file.text;
    WarnIfWritable(path, file);
    SHA256_Update(&hash_, text.data(), text.size());
    ERR_clear_error();
    const bssl::UniquePtr<BIO> bio = BioOf(text);
    size_t count = 0;
    while (bssl::UniquePtr<X509> ca{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
      ++count;
      if (X509_STORE_add_cert(impl_->store.get(), ca.get()) != 1 || !AddName(ca.get())) {
        return NoMemory(path);
      }
    }
    if (!AtEnd()) return Bad(path, absl::StrCat("certificate ", count + 1, " is damaged"));
    if (count == 0) return Bad(path, "holds no PEM certificate (-----BEGIN CERTIFICATE-----)");
    return absl::OkStatus();
  }

  absl::Status AddLists(const std::string& path, const PemFile& file) {
    const std::string& text = file.text;
    WarnIfWritable(path, file);
    SHA256_Update(&hash_, text.data(), text.size());
    ERR_clear_error();
    const bssl::UniquePtr<BIO> bio = BioOf(text);
    size_t count = 0;
    while (bssl::UniquePtr<X509_CRL> crl{
        PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)}) {
      ++count;
      if (X509_STORE_add_crl(impl_->store.get(), crl.get()) != 1) return NoMemory(path);
      WarnIfExpired(path, crl.get());
    }
    if (!AtEnd()) return Bad(path, absl::StrCat("revocation list ", count + 1, " is damaged"));
    if (count == 0) return Bad(path, "holds no PEM revocation list (-----BEGIN X509 CRL-----)");
    impl_->check_crl = true;
    return absl::OkStatus();
  }

  // Null: memory was denied.
  std::shared_ptr<const TrustStore> Build(uint32_t depth) {
    SHA256_Update(&hash_, &depth, sizeof(depth));
    SHA256_Update(&hash_, &impl_->check_crl, sizeof(impl_->check_crl));
    impl_->depth = depth;
    impl_->digest.resize(SHA256_DIGEST_LENGTH);
    SHA256_Final(reinterpret_cast<uint8_t*>(impl_->digest.data()), &hash_);
    if (names_size_ > kMaxAuthorityNames) impl_->names.reset(sk_CRYPTO_BUFFER_new_null());
    if (failed()) return nullptr;
    return std::make_shared<const TrustStore>(std::move(impl_));
  }

 private:
  void WarnIfWritable(const std::string& path, const PemFile& file) {
    std::string warning = WritableWarning(path, file);
    if (!warning.empty()) impl_->warnings.push_back(std::move(warning));
  }

  void WarnIfExpired(const std::string& path, const X509_CRL* crl) {
    int64_t until = 0;
    const ASN1_TIME* time = X509_CRL_get0_nextUpdate(crl);
    if (time == nullptr || ASN1_TIME_to_posix(time, &until) != 1) return;
    if (until >= WallNow() / 1'000'000) return;
    impl_->warnings.push_back(absl::StrCat(
        path, ": the revocation list of ", DisplayName(X509_CRL_get_issuer(crl)), " expired ",
        DateText(until), "; the gateway rejects all certificates of this issuer"));
  }

  bool AddName(const X509* ca) {
    uint8_t* der = nullptr;
    const int size = i2d_X509_NAME(X509_get_subject_name(ca), &der);
    if (size <= 0) return false;
    const std::string name(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    if (!seen_.insert(name).second) return true;
    names_size_ += name.size() + 2;
    if (names_size_ > kMaxAuthorityNames) return true;
    bssl::UniquePtr<CRYPTO_BUFFER> buffer(
        CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(name.data()), name.size(), nullptr));
    return buffer != nullptr && bssl::PushToStack(impl_->names.get(), std::move(buffer));
  }

  std::unique_ptr<TrustStore::Impl> impl_;
  SHA256_CTX hash_;
  std::set<std::string> seen_;
  size_t names_size_ = 0;
};

// The files of a folder, sorted; `path` itself if it is not a folder.
absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& path) {
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) return std::vector<std::string>{path};
  std::vector<std::string> files;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') files.push_back(absl::StrCat(path, "/", entry->d_name));
    if (files.size() > kMaxTrustFiles) break;
  }
  closedir(folder);
  if (files.size() > kMaxTrustFiles)
    return Bad(path, absl::StrCat("more than ", kMaxTrustFiles, " files"));
  if (files.empty()) return Bad(path, "is an empty folder");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TrustStore::TrustStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TrustStore::~TrustStore() = default;

const std::string& TrustStore::digest() const { return impl_->digest; }
const std::vector<std::string>& TrustStore::warnings() const { return impl_->warnings; }

absl::StatusOr<std::shared_ptr<const TrustStore>> TrustStore::Load(const std::string& ca,
                                                                   const std::string& crl,
                                                                   uint32_t depth) {
  Builder builder;
  if (builder.failed()) return NoMemory(ca);
  absl::StatusOr<std::vector<std::string>> files = FilesOf(ca);
  if (!files.ok()) return files.status();
  for (const std::string& path : *files) {
    absl::StatusOr<PemFile> file = ReadPemFile(path);
    if (!file.ok()) return file.status();
    absl::Status added = builder.AddAuthorities(path, *file);
    if (!added.ok()) return added;
  }
  if (!crl.empty()) {
    absl::StatusOr<PemFile> file = ReadPemFile(crl);
    if (!file.ok()) return file.status();
    absl::Status added = builder.AddLists(crl, *file);
    if (!added.ok()) return added;
  }
  std::shared_ptr<const TrustStore> built = builder.Build(depth);
  if (built == nullptr) return NoMemory(ca);
  return built;
}

absl::StatusOr<std::shared_ptr<const TrustStore>> TrustStore::OfSystem() {
  constexpr uint32_t kDepth = 8;
  return Load(kSystemFile, "", kDepth);
}

}  // namespace starling
