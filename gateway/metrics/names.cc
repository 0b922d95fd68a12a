#include "gateway/metrics/names.h"

#include <algorithm>

namespace starling {

std::optional<ListenerId> NameTable::IdOfListener(const std::string& name,
                                                  const std::string& protocol) {
  const auto found = std::ranges::find(listeners_, name, &Listener::name);
  if (found != listeners_.end()) {
    found->protocol = protocol;
    return static_cast<ListenerId>(found - listeners_.begin());
  }
  if (listeners_.size() >= kMaxListenerNames) return std::nullopt;
  listeners_.push_back({name, protocol});
  return static_cast<ListenerId>(listeners_.size() - 1);
}

std::optional<ServerSeries> NameTable::Find(const std::string& backend, const std::string& server,
                                            bool lent) {
  auto found = std::ranges::find_if(servers_, [&](const Server& known) {
    return known.backend == backend && known.server == server;
  });
  if (found != servers_.end()) {
    found->lent = found->lent && lent;
    found->rests_since = kNever;
    return static_cast<ServerSeries>(found - servers_.begin());
  }
  found = std::ranges::find(servers_, std::string(), &Server::server);
  if (found == servers_.end() && servers_.size() < kMaxServerNames) {
    found = servers_.emplace(servers_.end());
  }
  if (found == servers_.end()) {
    found = std::ranges::min_element(servers_, {}, &Server::rests_since);
    if (found->rests_since == kNever) return std::nullopt;
  }
  *found = {.backend = backend, .server = server, .lent = lent};
  return static_cast<ServerSeries>(found - servers_.begin());
}

std::optional<ServerSeries> NameTable::IdOfServer(const std::string& backend,
                                                  const std::string& server) {
  return Find(backend, server, /*lent=*/false);
}

std::optional<ServerSeries> NameTable::Lend(const std::string& backend, const std::string& server) {
  return Find(backend, server, /*lent=*/true);
}

void NameTable::GiveBack(ServerSeries id, MonoTime now) {
  if (servers_[id].lent) servers_[id].rests_since = now;
}

bool NameTable::FreeRested(MonoTime now) {
  bool any = false;
  for (Server& server : servers_) {
    if (server.rests_since == kNever || now - server.rests_since < kSeriesRest) continue;
    server = {};
    any = true;
  }
  return any;
}

}  // namespace starling
