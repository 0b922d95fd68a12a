#include "gateway/tls/certificate_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/tls/certificate_file.h"
#include "gateway/tls/pem_file.h"

namespace starling {
namespace {

// certbot's names.
constexpr char kFullChain[] = "fullchain.pem";
constexpr char kPrivateKey[] = "privkey.pem";

std::string SystemText(const std::string& path, int error) {
  return absl::StrCat(path, ": ", std::generic_category().message(error));
}

bool HasFileExtension(std::string_view name) {
  for (const std::string_view extension : {".crt", ".key", ".pem", ".cer", ".ocsp"}) {
    if (name.ends_with(extension)) return true;
  }
  return false;
}

std::string WithoutExtension(std::string_view name) {
  return std::string(name.substr(0, name.rfind('.')));
}

// The file names in one folder, and which of them are not yet assigned to a certificate.
class Names {
 public:
  Names(std::string folder, std::set<std::string> files)
      : folder_(std::move(folder)), left_(files), files_(std::move(files)) {}

  bool Has(const std::string& name) const { return files_.contains(name); }
  bool Left(const std::string& name) const { return left_.contains(name); }
  // The file is assigned or uninteresting: Classify does not report it as skipped.
  void Drop(const std::string& name) { left_.erase(name); }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  void TakePair(const std::string& cert, const std::string& key, CertificateFolder& out) {
    out.sources.push_back({.cert = Path(cert), .key = Path(key)});
    DropWithResponses(cert);
    Drop(key);
  }
  void TakeBundle(const std::string& pem, CertificateFolder& out) {
    out.sources.push_back({.pem = Path(pem)});
    Drop(pem);
    Drop(pem + ".ocsp");
  }

  // Returns a copy because callers drop names while they iterate.
  std::vector<std::string> LeftWith(std::string_view extension) const {
    std::vector<std::string> found;
    for (const std::string& name : left_) {
      if (name.ends_with(extension)) found.push_back(name);
    }
    return found;
  }
  const std::set<std::string>& left() const { return left_; }
  const std::string& folder() const { return folder_; }

 private:
  void DropWithResponses(const std::string& cert) {
    Drop(cert);
    Drop(cert + ".ocsp");
    Drop(WithoutExtension(cert) + ".ocsp");
  }

  std::string folder_;
  std::set<std::string> left_;
  std::set<std::string> files_;
};

// A mounted Secret of type kubernetes.io/tls.
void TakeKubernetes(Names& names, CertificateFolder& out) {
  if (!names.Has("tls.crt")) return;
  if (names.Has("tls.key")) {
    names.TakePair("tls.crt", "tls.key", out);
  } else {
    out.errors.push_back(absl::StrCat(names.Path("tls.crt"), ": its key tls.key is missing"));
  }
  names.Drop("tls.crt");
  names.Drop("ca.crt");
}

// acme.sh writes fullchain.cer and NAME.key into a folder called NAME or NAME_ecc.
void TakeAcmeSh(Names& names, CertificateFolder& out) {
  const std::string cert = "fullchain.cer";
  if (!names.Left(cert)) return;
  std::vector<std::string> keys = names.LeftWith(".key");
  if (keys.size() > 1) {
    std::string own = names.folder().substr(names.folder().rfind('/') + 1);
    if (own.ends_with("_ecc")) own.resize(own.size() - 4);
    own += ".key";
    if (names.Left(own)) keys = {own};
  }
  if (keys.size() == 1) {
    names.TakePair(cert, keys.front(), out);
    names.Drop(WithoutExtension(keys.front()) + ".cer");
    names.Drop("ca.cer");
  } else {
    out.errors.push_back(absl::StrCat(names.Path(cert), ": its key NAME.key is ",
                                      keys.empty() ? "missing" : "not the only one"));
    names.Drop(cert);
  }
}

void TakeBundleOrPass(Names& names, const std::string& name, CertificateFolder& out) {
  const std::string path = names.Path(name);
  const absl::StatusOr<PemFile> file = ReadPemFile(path);
  if (!file.ok()) {
    out.errors.emplace_back(file.status().message());
  } else if (HoldsKey(file->text) && HoldsCertificate(file->text)) {
    names.TakeBundle(name, out);
    return;
  } else if (name == kFullChain) {
    out.errors.push_back(absl::StrCat(path, ": its key ", kPrivateKey, " is missing"));
  } else if (HoldsKey(file->text)) {
    out.notes.push_back(absl::StrCat(path, ": skipped: it holds a key but no certificate"));
  } else {
    out.notes.push_back(absl::StrCat(path, ": skipped: it holds no key, and there is no ",
                                     WithoutExtension(name), ".key"));
  }
  names.Drop(name);
}

void Classify(Names& names, CertificateFolder& out) {
  TakeKubernetes(names, out);
  if (names.Has(kFullChain) && names.Has(kPrivateKey)) {
    names.TakePair(kFullChain, kPrivateKey, out);
    names.Drop("cert.pem");
    names.Drop("chain.pem");
  }
  TakeAcmeSh(names, out);
  for (const std::string& name : names.LeftWith(".crt")) {
    const std::string key = WithoutExtension(name) + ".key";
    if (names.Left(key)) names.TakePair(name, key, out);
  }
  for (const std::string& name : names.LeftWith(".pem")) {
    const std::string key = WithoutExtension(name) + ".key";
    if (names.Left(key)) {
      names.TakePair(name, key, out);
    } else {
      TakeBundleOrPass(names, name, out);
    }
  }
  for (const std::string& name : names.left()) {
    out.notes.push_back(absl::StrCat(names.Path(name), ": skipped"));
  }
}

class Scanner {
 public:
  explicit Scanner(size_t max_entries) : left_(max_entries) {}

  void Scan(const std::string& folder, bool top) {
    std::set<std::string> names;
    struct stat self = {};
    if (!List(folder, names)) return;
    if (stat(folder.c_str(), &self) != 0) return Fail(SystemText(folder, errno));
    std::set<std::string> files;
    std::vector<std::string> subfolders;
    for (const std::string& name : names) {
      const std::string path = absl::StrCat(folder, "/", name);
      struct stat status = {};
      if (stat(path.c_str(), &status) != 0) {
        if (errno == ELOOP) {
          Fail(absl::StrCat(path, ": symbolic links form a loop"));
        } else {
          files.insert(name);  // if the file matters, reading it reports the error
        }
      } else if (!S_ISDIR(status.st_mode) || HasFileExtension(name)) {
        files.insert(name);
      } else if (status.st_dev == self.st_dev && status.st_ino == self.st_ino) {
        Fail(absl::StrCat(path, ": a link to its own folder forms a loop"));
      } else if (top) {
        subfolders.push_back(path);
      } else {
        out_.notes.push_back(
            absl::StrCat(path, ": skipped: only one level of subfolders is searched"));
      }
    }
    Names found(folder, std::move(files));
    Classify(found, out_);
    for (const std::string& subfolder : subfolders) {
      if (!exhausted_) Scan(subfolder, false);
    }
  }

  CertificateFolder Take() { return std::move(out_); }

 private:
  void Fail(std::string error) { out_.errors.push_back(std::move(error)); }

  bool List(const std::string& folder, std::set<std::string>& names) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
    errno = dir == nullptr ? errno : 0;
    while (errno == 0) {
      const dirent* entry = readdir(dir.get());
      if (entry == nullptr) break;
      if (entry->d_name[0] == '.') continue;
      if (left_ == 0) {
        exhausted_ = true;
        Fail(absl::StrCat(folder, ": too many files in the folder and its subfolders"));
        return false;
      }
      left_--;
      names.insert(entry->d_name);
    }
    if (errno != 0) Fail(SystemText(folder, errno));
    return errno == 0;
  }

  size_t left_;
  bool exhausted_ = false;
  CertificateFolder out_;
};

}  // namespace

CertificateFolder ScanCertificateFolder(const std::string& folder, size_t max_entries) {
  std::string path = folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  Scanner scanner(max_entries);
  scanner.Scan(path, true);
  CertificateFolder found = scanner.Take();
  std::sort(found.sources.begin(), found.sources.end(), [](const auto& a, const auto& b) {
    return (a.pem.empty() ? a.cert : a.pem) < (b.pem.empty() ? b.cert : b.pem);
  });
  if (found.sources.empty() && found.errors.empty()) {
    found.errors.push_back(
        absl::StrCat(path,
                     ": the folder and its subfolders hold no certificate, expected tls.crt with "
                     "tls.key, fullchain.pem with privkey.pem, NAME.crt with NAME.key, or "
                     "NAME.pem that includes the key"));
  }
  return found;
}

}  // namespace starling
