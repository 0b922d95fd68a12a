#include "gateway/resolve/wanted_servers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace starling {
namespace {

// An IPv4 address within IPv6 is not looked through: what is allowed for one is not for the other.
bool IsUsable(const Endpoint& endpoint) {
  const std::array<uint8_t, 16>& ip = endpoint.ip;
  if (endpoint.family == Endpoint::Family::kV4) return ip[0] != 0 && ip[0] < 224;
  const bool link_local = ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
  if (ip[0] == 0xff || link_local) return false;
  const bool within_v4 = std::all_of(ip.begin(), ip.begin() + 10, [](uint8_t o) { return o == 0; });
  Endpoint loopback{.family = Endpoint::Family::kV6};
  loopback.ip[15] = 1;
  return !within_v4 || SameHost(endpoint, loopback);
}

uint32_t Product(uint64_t a, uint64_t b) {
  return static_cast<uint32_t>(std::min<uint64_t>(a * b, std::numeric_limits<uint32_t>::max()));
}

class Maker {
 public:
  explicit Maker(const BackendConfig& backend) : backend_(backend) {}

  void AddLiteral(const ServerConfig& server) {
    WantedServer wanted = Made(server, server.address);
    wanted.tls_name = "";
    Add(std::move(wanted));
  }
  void AddFound(const ServerConfig& server, const FoundAddress& found) {
    const Endpoint endpoint{.family = found.family, .port = found.port, .ip = found.ip};
    const SocketAddress address = SocketAddress::From(endpoint);
    if (!IsUsable(endpoint)) return Refuse(address, RefusedAddress::kUnusable);
    if (!MayReach(backend_, address)) return Refuse(address, RefusedAddress::kNetwork);
    WantedServer wanted = Made(server, address);
    wanted.tls_name = server.by_name.TlsName();
    if (server.by_name.srv) {
      wanted.priority += found.priority;
      wanted.weight = Product(wanted.weight, found.weight);
    }
    Add(std::move(wanted));
  }
  void NoteLeftOut(size_t count) { left_out_ += count; }

  WantedServers Done() {
    if (left_out_ > 0) {
      made_.refused.push_back(
          {.address = {}, .reason = RefusedAddress::kNoRoom, .count = left_out_});
    }
    return std::move(made_);
  }

 private:
  static WantedServer Made(const ServerConfig& server, const SocketAddress& address) {
    return {.address = address,
            .name = address.ToString(),
            .tls_name = {},
            .weight = server.weight,
            .priority = server.priority,
            .max_sessions = server.max_sessions,
            .drains = server.drains};
  }
  // Two names may have the same address: it is the server of the first one.
  void Add(WantedServer wanted) {
    const bool known = std::ranges::any_of(
        made_.servers, [&](const WantedServer& other) { return other.address == wanted.address; });
    if (known) return;
    if (made_.servers.size() < kMaxServers) {
      made_.servers.push_back(std::move(wanted));
    } else {
      ++left_out_;
    }
  }
  void Refuse(const SocketAddress& address, RefusedAddress reason) {
    made_.refused.push_back({.address = address, .reason = reason});
  }

  const BackendConfig& backend_;
  WantedServers made_;
  size_t left_out_ = 0;
};

}  // namespace

NameQuery QueryOf(const ServerName& name) {
  return {.name = name.host, .port = name.port, .srv = name.srv};
}

WantedServers ServersNow(const BackendConfig& backend, const AddressesOf& addresses_of) {
  Maker maker(backend);
  // No answer takes the place of a server that the file has.
  for (const ServerConfig& server : backend.servers) {
    if (!server.is_named()) maker.AddLiteral(server);
  }
  for (const ServerConfig& server : backend.servers) {
    if (!server.is_named()) continue;
    const NamedAddresses found = addresses_of(QueryOf(server.by_name));
    if (found.addresses == nullptr) continue;
    maker.NoteLeftOut(found.left_out);
    for (const FoundAddress& address : *found.addresses) maker.AddFound(server, address);
  }
  return maker.Done();
}

}  // namespace starling
