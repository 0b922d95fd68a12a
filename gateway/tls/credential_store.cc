#include "gateway/tls/credential_store.h"

#include <openssl/sha.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/tls/certificate_chain.h"
#include "gateway/tls/certificate_file.h"
#include "gateway/tls/certificate_folder.h"
#include "gateway/tls/credential.h"
#include "gateway/tls/ocsp_response.h"
#include "gateway/tls/pem_file.h"

namespace starling {
namespace {

using Ocsp = CertificateInfo::Ocsp;

constexpr int64_t kExpiryWarningSeconds = 14 * 86400;
// Tolerates a responder whose clock is a little ahead, as clients do.
constexpr int64_t kClockSkewSeconds = 300;
// The validity of a response that has no nextUpdate.
constexpr int64_t kOcspMaxAgeSeconds = 7 * 86400;
constexpr size_t kMaxNotes = 100;
constexpr size_t kFirstSweep = 64;

absl::Status Bad(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Sha256 Digest(std::string_view cert, std::string_view key) {
  const uint64_t cert_size = cert.size();
  SHA256_CTX context;
  SHA256_Init(&context);
  // The length keeps the two contents apart.
  SHA256_Update(&context, &cert_size, sizeof(cert_size));
  SHA256_Update(&context, cert.data(), cert.size());
  SHA256_Update(&context, key.data(), key.size());
  Sha256 digest;
  SHA256_Final(digest.data(), &context);
  return digest;
}

// The files of one source.
struct Content {
  std::string cert_file, key_file, ocsp_file;
  std::string_view cert, key;
  std::string ocsp;  // empty: no response
  bool key_world_readable = false;
  std::vector<std::string> warnings;  // about the other files' rights

  void WarnIfWritable(const std::string& path, const PemFile& file) {
    std::string warning = WritableWarning(path, file);
    if (!warning.empty()) warnings.push_back(std::move(warning));
  }
};

std::vector<std::string> OcspPaths(const CertificateSource& source) {
  if (!source.ocsp.empty()) return {source.ocsp};
  if (!source.pem.empty()) return {source.pem + ".ocsp"};
  std::vector<std::string> paths = {source.cert + ".ocsp"};
  const size_t dot = source.cert.rfind('.');
  const size_t slash = source.cert.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  if (dot != std::string::npos && dot > name) {
    paths.push_back(source.cert.substr(0, dot) + ".ocsp");
  }
  return paths;
}

absl::Status ReadOcsp(const CertificateSource& source, Content& content) {
  for (const std::string& path : OcspPaths(source)) {
    auto file = ReadSmallFile(path, kMaxOcspResponse, "an OCSP response");
    if (source.ocsp.empty() && absl::IsNotFound(file.status())) continue;
    if (!file.ok()) return file.status();
    content.WarnIfWritable(path, *file);
    content.ocsp_file = path;
    content.ocsp = std::move(file->text);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

// The earlier of `a` and, if it is after `now`, `b`; an `a` of 0 means no time.
int64_t Sooner(int64_t a, int64_t b, int64_t now) {
  if (b <= now) return a;
  return a == 0 ? b : std::min(a, b);
}

// Judges the response and sets the credential's OCSP facts. Clears content.ocsp unless
// the response can be sent now.
absl::Status JudgeOcsp(int64_t now, Content& content, Credential& credential) {
  CertificateInfo& info = credential.info;
  if (content.ocsp_file.empty()) {
    if (!info.must_staple) return absl::OkStatus();
    return Bad(info.file,
               "the certificate requires an OCSP response (must-staple), but there is none");
  }
  const auto response = ParseOcspResponse(Bytes(content.ocsp), credential.material->subject);
  if (!response.ok()) return Bad(content.ocsp_file, std::string(response.status().message()));
  info.ocsp_next_update = response->next_update;
  const int64_t until = response->next_update != 0 ? response->next_update
                                                   : response->this_update + kOcspMaxAgeSeconds;
  std::string warning;
  if (response->status == OcspResponse::Status::kRevoked) {
    info.ocsp = Ocsp::kRevoked;
    warning = absl::StrCat("THE CERTIFICATE IS REVOKED since ", DateText(response->revoked_at),
                           ": ", info.file, "; replace it. Clients do not get the response");
  } else if (response->status == OcspResponse::Status::kUnknown) {
    warning = "the responder does not know the certificate; clients do not get the response";
  } else if (now >= until) {
    info.ocsp = Ocsp::kStale;
    warning =
        absl::StrCat("the OCSP response expired ", DateText(until), "; clients do not get it");
  } else if (now + kClockSkewSeconds < response->this_update) {
    info.ocsp = Ocsp::kStale;
    credential.reload_at =
        Sooner(credential.reload_at, response->this_update - kClockSkewSeconds, now);
    warning = absl::StrCat("the OCSP response is not valid before ",
                           DateText(response->this_update), "; clients do not get it");
  } else {
    info.ocsp = Ocsp::kGood;
    credential.ocsp_until = until;
    credential.reload_at = Sooner(credential.reload_at, until, now);
    return absl::OkStatus();
  }
  content.ocsp.clear();
  if (info.must_staple) warning += "; the certificate requires one, so clients will reject it";
  info.warnings.push_back(absl::StrCat(content.ocsp_file, ": ", warning));
  return absl::OkStatus();
}

void JudgeDates(const CertificateMaterial& material, int64_t now, CertificateInfo& info) {
  const auto warn = [&](const std::string& text) {
    info.warnings.push_back(absl::StrCat(info.file, ": ", text));
  };
  if (now > info.not_after) {
    warn(absl::StrCat("expired ", DateText(info.not_after), "; clients will reject it"));
  } else if (now < info.not_before) {
    warn(absl::StrCat("is not valid before ", DateText(info.not_before),
                      "; clients will reject it"));
  } else if (info.not_after - now < kExpiryWarningSeconds) {
    warn(absl::StrCat("expires ", DateText(info.not_after)));
  }
  for (const CertificateMaterial::Issuer& issuer : material.issuers) {
    if (now <= issuer.not_after) continue;
    warn(absl::StrCat("its issuer ", issuer.name, " expired ", DateText(issuer.not_after)));
  }
}

bool Same(const Credential& a, const Credential& b) {
  return a.ocsp_digest == b.ocsp_digest && a.info.ocsp == b.info.ocsp &&
         a.info.ocsp_next_update == b.info.ocsp_next_update && a.info.warnings == b.info.warnings;
}

}  // namespace

struct CredentialStore::Impl {
  absl::StatusOr<std::shared_ptr<const Credential>> Load(Content& content);
  absl::StatusOr<std::shared_ptr<const Credential>> Load(const CertificateSource& source);
  void Remember(const std::shared_ptr<const Credential>& credential, Content& content);

  // By the paths and the content of certificate and key.
  using Key = std::tuple<std::string, std::string, Sha256>;
  std::map<Key, std::weak_ptr<const Credential>> loaded;
  size_t sweep_at = kFirstSweep;
};

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::Impl::Load(Content& content) {
  auto fresh = std::make_shared<Credential>();
  fresh->digest = Digest(content.cert, content.key);
  std::shared_ptr<const Credential> known;
  const auto found = loaded.find({content.cert_file, content.key_file, fresh->digest});
  if (found != loaded.end()) known = found->second.lock();
  if (known != nullptr) {
    fresh->material = known->material;
  } else {
    auto parsed = ParseCertificate(content.cert_file, content.cert, content.key_file, content.key);
    if (!parsed.ok()) return parsed.status();
    fresh->material = *std::move(parsed);
  }
  // Dates and file modes change without the content, so every load checks them.
  const int64_t now = WallNow() / 1'000'000;
  fresh->info = fresh->material->info;
  fresh->info.warnings = fresh->material->warnings;
  JudgeDates(*fresh->material, now, fresh->info);
  if (content.key_world_readable) {
    fresh->info.warnings.push_back(
        absl::StrCat(content.key_file, ": every user can read this private key"));
  }
  std::ranges::copy(content.warnings, std::back_inserter(fresh->info.warnings));
  fresh->reload_at = Sooner(Sooner(0, fresh->info.not_before, now), fresh->info.not_after + 1, now);
  if (auto status = JudgeOcsp(now, content, *fresh); !status.ok()) return status;
  if (!content.ocsp.empty()) {
    SHA256(Bytes(content.ocsp).data(), content.ocsp.size(), fresh->ocsp_digest.data());
  }
  if (known != nullptr && Same(*known, *fresh)) return known;
  fresh->ocsp = content.ocsp;
  fresh->ssl = MakeSslCredential(*fresh->material, Bytes(content.ocsp));
  if (fresh->ssl == nullptr) return Bad(content.cert_file, "the TLS library does not accept it");
  std::shared_ptr<const Credential> result = std::move(fresh);
  Remember(result, content);
  return result;
}

void CredentialStore::Impl::Remember(const std::shared_ptr<const Credential>& credential,
                                     Content& content) {
  // Sweeping only when the map has doubled keeps the cost per entry constant.
  if (loaded.size() >= sweep_at) {
    std::erase_if(loaded, [](const auto& entry) { return entry.second.expired(); });
    sweep_at = std::max(kFirstSweep, 2 * loaded.size());
  }
  loaded[{std::move(content.cert_file), std::move(content.key_file), credential->digest}] =
      credential;
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::Impl::Load(
    const CertificateSource& source) {
  Content content;
  const bool bundle = !source.pem.empty();
  content.cert_file = bundle ? source.pem : source.cert;
  content.key_file = bundle ? source.pem : source.key;
  const auto cert = ReadPemFile(content.cert_file);
  if (!cert.ok()) return cert.status();
  content.cert = content.key = cert->text;
  absl::StatusOr<PemFile> key = absl::UnknownError("not read");
  if (!bundle) {
    key = ReadPemFile(content.key_file);
    if (!key.ok()) return key.status();
    content.key = key->text;
    content.WarnIfWritable(content.cert_file, *cert);
  }
  const PemFile& secret = bundle ? *cert : *key;
  if (auto status = CheckSecret(content.key_file, secret, "this private key"); !status.ok()) {
    return status;
  }
  content.key_world_readable = secret.world_readable;
  if (auto status = ReadOcsp(source, content); !status.ok()) return status;
  return Load(content);
}

CredentialStore::CredentialStore() : impl_(std::make_unique<Impl>()) {}
CredentialStore::~CredentialStore() = default;

size_t CredentialStore::size() const { return impl_->loaded.size(); }

CertificateSet CredentialStore::LoadAll(std::span<const CertificateSource> sources,
                                        size_t max_certificates) {
  CertificateSet set;
  std::vector<CertificateSource> files;
  for (const CertificateSource& source : sources) {
    if (source.folder.empty()) {
      files.push_back(source);
      continue;
    }
    CertificateFolder found = ScanCertificateFolder(source.folder);
    std::move(found.sources.begin(), found.sources.end(), std::back_inserter(files));
    std::move(found.errors.begin(), found.errors.end(), std::back_inserter(set.errors));
    std::move(found.notes.begin(), found.notes.end(), std::back_inserter(set.notes));
  }
  std::map<Sha256, const CertificateInfo*> leaves;
  for (const CertificateSource& source : files) {
    auto loaded = impl_->Load(source);
    if (!loaded.ok()) {
      set.errors.emplace_back(loaded.status().message());
      continue;
    }
    const Credential& credential = **loaded;
    const auto [other, is_new] = leaves.emplace(credential.material->fingerprint, &credential.info);
    if (!is_new) {
      set.notes.push_back(absl::StrCat(credential.info.file, ": skipped: ", other->second->file,
                                       " holds the same certificate"));
      continue;
    }
    if (set.credentials.size() == max_certificates) {
      set.errors.push_back(absl::StrCat(
          credential.info.file, ": too many certificates: the limit is ", max_certificates));
      break;
    }
    if (!credential.material->note.empty()) set.notes.push_back(credential.material->note);
    set.reload_at = Sooner(set.reload_at, credential.reload_at, 0);
    set.credentials.push_back(*std::move(loaded));
  }
  if (set.notes.size() > kMaxNotes) {
    const size_t more = set.notes.size() - kMaxNotes;
    set.notes.resize(kMaxNotes);
    set.notes.push_back(absl::StrCat("and ", more, " more notes"));
  }
  return set;
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::Load(
    const CertificateSource& source) {
  return impl_->Load(source);
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialStore::LoadPem(
    const CertificateSource& source, std::string_view cert_pem, std::string_view key_pem) {
  Content content{.cert_file = source.cert, .key_file = source.key};
  content.cert = cert_pem;
  content.key = key_pem;
  return impl_->Load(content);
}

std::vector<std::string> PathsOf(const CertificateSource& source) {
  if (!source.folder.empty()) return {source.folder};
  std::vector<std::string> paths = OcspPaths(source);
  for (const std::string& path : {source.cert, source.key, source.pem}) {
    if (!path.empty()) paths.push_back(path);
  }
  return paths;
}

std::shared_ptr<const Credential> WithoutStaleResponse(
    const std::shared_ptr<const Credential>& credential) {
  const int64_t now = WallNow() / 1'000'000;
  if (credential->ocsp.empty() || now < credential->ocsp_until) return credential;
  auto left = std::make_shared<Credential>();
  left->material = credential->material;
  left->digest = credential->digest;
  left->info = credential->info;
  left->info.ocsp = Ocsp::kStale;
  left->info.warnings = {
      absl::StrCat(left->info.file, ": the OCSP response expired; clients no longer get it")};
  left->reload_at = NextDate(*left);
  left->ssl = MakeSslCredential(*left->material, {});
  return left->ssl == nullptr ? credential : left;
}

int64_t NextDate(const Credential& credential) {
  const int64_t now = WallNow() / 1'000'000;
  const int64_t by_itself =
      Sooner(Sooner(0, credential.info.not_before, now), credential.info.not_after + 1, now);
  return Sooner(by_itself, credential.ocsp_until, now);
}

const CertificateInfo& Info(const Credential& credential) { return credential.info; }

}  // namespace starling
