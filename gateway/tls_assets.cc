#include "gateway/tls_assets.h"

#include <algorithm>
#include <utility>

namespace starling {

TlsAssets LoadTlsAssets(const Config& config, CredentialStore& store,
                        const std::shared_ptr<TicketKeys>& own_tickets) {
  TlsAssets assets;
  for (const ListenerConfig& listener : config.listeners) {
    TlsPolicy policy;
    policy.alpn = listener.protocol->alpn;
    policy.tickets = own_tickets;
    for (const CertificateEntry& entry : listener.tls_options.certificates) {
      assets.paths.push_back(entry.cert);
      assets.paths.push_back(entry.key);
      auto loaded = store.Load({entry.cert, entry.key});
      if (loaded.ok()) {
        policy.credentials.push_back(*loaded);
        if (std::ranges::find(assets.credentials, *loaded) == assets.credentials.end())
          assets.credentials.push_back(*loaded);
      } else {
        assets.errors.emplace_back(loaded.status().message());
      }
    }
    assets.policy_of.push_back(static_cast<uint32_t>(assets.policies.size()));
    assets.policies.push_back(std::move(policy));
  }
  return assets;
}

bool TlsAssets::SameAs(const TlsAssets& other) const {
  return credentials == other.credentials && policy_of == other.policy_of;
}

}  // namespace starling
