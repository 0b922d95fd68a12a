#include "gateway/tls_assets.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace starling {
namespace {

// Between a server's certificate and its authority.
constexpr uint32_t kServerDepth = 8;

class AssetLoader {
 public:
  AssetLoader(const Config& config, CredentialStore& store,
              const std::shared_ptr<TicketKeys>& own_tickets)
      : config_(config), store_(store), own_tickets_(own_tickets) {}

  TlsAssets Load() {
    for (size_t i = 0; i < config_.listeners.size(); ++i) AddListener(i);
    for (const BackendConfig& backend : config_.backends) AddBackend(backend);
    if (all_.size() > config_.limits.certificates) {
      Error(absl::StrCat(config_.file, ": ", all_.size(), " certificates, limits.certificates is ",
                         config_.limits.certificates));
    }
    return std::move(assets_);
  }

 private:
  using Index = std::shared_ptr<const CredentialIndex>;
  using Trust = std::shared_ptr<const TrustStore>;

  // Listeners of the same protocol and options share a policy.
  void AddListener(size_t index) {
    const ListenerConfig& listener = config_.listeners[index];
    for (size_t before = 0; before < index; ++before) {
      const ListenerConfig& other = config_.listeners[before];
      if (other.protocol->alpn == listener.protocol->alpn &&
          other.tls_options == listener.tls_options) {
        assets_.policy_of.push_back(assets_.policy_of[before]);
        return;
      }
    }
    assets_.policy_of.push_back(static_cast<uint32_t>(assets_.policies.size()));
    assets_.policies.push_back(PolicyOf(listener.tls_options, *listener.protocol));
  }

  TlsPolicy PolicyOf(const TlsOptions& options, const ProtocolRow& protocol) {
    TlsPolicy policy;
    policy.certificates = Certificates(options.certificates);
    policy.alpn = protocol.alpn;
    policy.second_alpn = protocol.second_alpn;
    policy.cbc = options.cbc_ciphers;
    policy.alpn_strict = options.alpn_strict && protocol.alpn_registered;
    policy.sni_strict = options.sni_strict;
    policy.tls12 = options.min_version == MinVersion::kTls12;
    policy.ciphers = options.ciphers;
    policy.groups = options.groups;
    policy.signature_algorithms = options.signature_algorithms;
    policy.client_certificate = options.client_certificate.mode;
    if (policy.client_certificate != ClientCertificateMode::kNone) {
      const ClientCertificateOptions& client = options.client_certificate;
      policy.client_trust = Authorities(client.ca, client.crl, client.depth);
    }
    policy.tickets = Tickets(options.ticket_keys);
    return policy;
  }

  Index Certificates(const std::vector<CertificateEntry>& entries) {
    for (const auto& [known, index] : indices_) {
      if (*known == entries) return index;
    }
    std::vector<CertificateSource> sources;
    for (const CertificateEntry& e : entries) {
      sources.push_back(
          {.cert = e.cert, .key = e.key, .ocsp = e.ocsp, .pem = e.pem, .folder = e.folder});
      for (const std::string& path : PathsOf(sources.back())) AddPath(path);
    }
    CertificateSet set = store_.LoadAll(sources, config_.limits.certificates);
    for (std::string& error : set.errors) Error(std::move(error));
    std::ranges::move(set.notes, std::back_inserter(assets_.notes));
    if (set.reload_at != 0 && (assets_.reload_at == 0 || set.reload_at < assets_.reload_at)) {
      assets_.reload_at = set.reload_at;
    }
    for (const auto& credential : set.credentials) {
      AddCredential(credential);
    }
    Index index = MakeCredentialIndex(std::move(set.credentials));
    indices_.emplace_back(&entries, index);
    return index;
  }

  void AddCredential(const std::shared_ptr<const Credential>& credential) {
    if (!all_.insert(credential.get()).second) return;
    assets_.credentials.push_back(credential);
    const std::vector<std::string>& warnings = Info(*credential).warnings;
    assets_.warnings.insert(assets_.warnings.end(), warnings.begin(), warnings.end());
  }

  void AddBackend(const BackendConfig& backend) {
    const BackendTls& options = backend.tls;
    std::optional<UpstreamTlsPolicy>& policy = assets_.upstream.emplace_back();
    if (!options.enabled) return;
    policy.emplace();
    policy->verify = options.verify;
    policy->name = options.name;
    policy->own_names = HasNames(backend);
    if (options.verify) policy->trust = Authorities(options.ca, "", kServerDepth);
    if (options.cert.empty()) return;
    const CertificateSource source{.cert = options.cert, .key = options.key};
    for (const std::string& path : PathsOf(source)) AddPath(path);
    absl::StatusOr<std::shared_ptr<const Credential>> loaded = store_.Load(source);
    if (loaded.ok()) {
      policy->certificate = *loaded;
      AddCredential(*loaded);
    } else {
      Error(std::string(loaded.status().message()));
    }
  }

  // Without `ca`, those of the system.
  Trust Authorities(const std::string& ca, const std::string& crl, uint32_t depth) {
    const auto key = std::tuple(ca, crl, depth);
    if (const auto known = trusts_.find(key); known != trusts_.end()) return known->second;
    AddPath(ca);
    AddPath(crl);
    absl::StatusOr<Trust> loaded =
        ca.empty() ? TrustStore::OfSystem() : TrustStore::Load(ca, crl, depth);
    if (!loaded.ok()) {
      Error(std::string(loaded.status().message()));
      return nullptr;
    }
    assets_.trust.push_back((*loaded)->digest());
    const std::vector<std::string>& warnings = (*loaded)->warnings();
    assets_.warnings.insert(assets_.warnings.end(), warnings.begin(), warnings.end());
    return trusts_.emplace(key, *std::move(loaded)).first->second;
  }

  std::shared_ptr<TicketKeys> Tickets(const std::string& file) {
    if (file.empty()) return own_tickets_;
    for (const TlsAssets::TicketSource& known : assets_.tickets) {
      if (known.file == file) return known.keys;
    }
    AddPath(file);
    absl::StatusOr<TicketFile> read = ReadTicketKeys(file);
    if (!read.ok()) {
      Error(std::string(read.status().message()));
      return nullptr;
    }
    if (read->world_readable) {
      assets_.warnings.push_back(
          absl::StrCat(file, ": holds ticket keys that every user can read"));
    }
    assets_.tickets.push_back({file, read->keys, read->digest});
    return read->keys;
  }

  void AddPath(const std::string& path) {
    if (!path.empty() && paths_.insert(path).second) assets_.paths.push_back(path);
  }
  void Error(std::string text) {
    if (said_.insert(text).second) assets_.errors.push_back(std::move(text));
  }

  const Config& config_;
  CredentialStore& store_;
  const std::shared_ptr<TicketKeys>& own_tickets_;
  TlsAssets assets_;
  std::vector<std::pair<const std::vector<CertificateEntry>*, Index>> indices_;
  std::map<std::tuple<std::string, std::string, uint32_t>, Trust> trusts_;
  std::set<const Credential*> all_;
  std::set<std::string> paths_;
  std::set<std::string> said_;
};

}  // namespace

bool TlsAssets::SameAs(const TlsAssets& other) const {
  return credentials == other.credentials && trust == other.trust &&
         std::ranges::equal(tickets, other.tickets, {}, &TicketSource::digest,
                            &TicketSource::digest);
}

TlsAssets WithoutStaleResponses(const TlsAssets& assets) {
  TlsAssets left = assets;
  left.warnings.clear();
  left.reload_at = 0;
  std::map<std::shared_ptr<const Credential>, std::shared_ptr<const Credential>> instead;
  for (std::shared_ptr<const Credential>& credential : left.credentials) {
    const auto now = WithoutStaleResponse(credential);
    instead.emplace(credential, now);
    if (now != credential) left.warnings.push_back(Info(*now).warnings.front());
    credential = now;
    const int64_t at = NextDate(*now);
    if (at != 0 && (left.reload_at == 0 || at < left.reload_at)) left.reload_at = at;
  }
  std::map<std::shared_ptr<const CredentialIndex>, std::shared_ptr<const CredentialIndex>> indices;
  for (TlsPolicy& policy : left.policies) {
    std::shared_ptr<const CredentialIndex>& index = indices[policy.certificates];
    if (index == nullptr) {
      std::vector<std::shared_ptr<const Credential>> credentials =
          CredentialsOf(*policy.certificates);
      for (auto& credential : credentials) credential = instead.at(credential);
      index = MakeCredentialIndex(std::move(credentials));
    }
    policy.certificates = index;
  }
  return left;
}

TlsAssets LoadTlsAssets(const Config& config, CredentialStore& store,
                        const std::shared_ptr<TicketKeys>& own_tickets) {
  return AssetLoader(config, store, own_tickets).Load();
}

}  // namespace starling
