#include "gateway/deny_files.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gateway/limits.h"
#include "gateway/tls/pem_file.h"

namespace starling {
namespace {

constexpr std::chrono::milliseconds kRetry{500};
constexpr std::chrono::milliseconds kPatience{3'000};

using Networks = std::vector<NetworkMap::Entry>;

class Loader {
 public:
  DenyFiles Load(const Config& config, const std::vector<ListenerId>& ids) {
    auto lists = std::make_shared<DenyLists>(MapOf(config.deny));
    for (size_t i = 0; i < config.listeners.size(); ++i) {
      if (auto own = MapOf(config.listeners[i].deny)) lists->Set(ids[i], std::move(own));
    }
    files_.lists = std::move(lists);
    return std::move(files_);
  }

 private:
  using Map = std::shared_ptr<const NetworkMap>;

  // Null: nobody is denied.
  Map MapOf(const DenyOptions& options) {
    if (options.networks.empty() && options.files.empty()) return nullptr;
    Networks networks;
    for (const Cidr& network : options.networks) networks.push_back({network, 1});
    for (const std::string& path : options.files) Read(path, networks);
    files_.networks += networks.size();
    return std::make_shared<const NetworkMap>(networks);
  }

  void Read(const std::string& path, Networks& networks) {
    const bool first = seen_.insert(path).second;
    if (first) files_.paths.push_back(path);
    const absl::StatusOr<PemFile> file =
        ReadSmallFile(path, kMaxDenyFile, "a list of networks", /*may_be_empty=*/true);
    if (!file.ok()) {
      if (first) files_.errors.emplace_back(file.status().message());
      return;
    }
    std::string warning = first ? WritableWarning(path, *file) : "";
    if (!warning.empty()) files_.warnings.push_back(std::move(warning));
    files_.fingerprint =
        files_.fingerprint * 31 + std::hash<std::string_view>()(std::string_view(file->text));
    const absl::Status parsed = ParseDenyFile(file->text, networks);
    if (!parsed.ok() && first) {
      files_.errors.push_back(absl::StrCat(path, ": ", parsed.message()));
    }
  }

  DenyFiles files_;
  std::set<std::string> seen_;
};

}  // namespace

DenyFiles LoadDenyFiles(const Config& config, const std::vector<ListenerId>& ids) {
  return Loader().Load(config, ids);
}

// What was written while the files were being read is not told by the watcher: they are read
// once more.
void DenyWatch::Watch(const DenyFiles& files, std::chrono::milliseconds interval, MonoTime now) {
  in_use_ = files.fingerprint;
  watcher_.Watch(files.paths, interval, now);
  retry_at_ = files.paths.empty() ? kNever : now;
  bad_since_ = kNever;
  complained_.clear();
}

void DenyWatch::Step(MonoTime now) {
  if (!watcher_.Look(now) && now < retry_at_) return;
  retry_at_ = kNever;
  const DenyFiles files = steps_.load();
  if (files.ok()) {
    bad_since_ = kNever;
    complained_.clear();
    if (files.fingerprint == in_use_) return;
    steps_.use(files);  // where memory is denied, the next step tries again
    in_use_ = files.fingerprint;
    return;
  }
  bad_since_ = std::min(bad_since_, now);
  if (now - bad_since_ < kPatience) {
    retry_at_ = now + kRetry;
  } else if (files.errors != complained_) {
    complained_ = files.errors;
    for (const std::string& error : files.errors) steps_.refuse(error);
  }
}

}  // namespace starling
