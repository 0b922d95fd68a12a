#include "gateway/config/config.h"

#include <algorithm>

namespace starling {

std::string ServerName::ToString() const {
  return srv ? "srv:" + host : host + ":" + std::to_string(port);
}

std::string_view ServerName::TlsName() const {
  std::string_view name = host;
  if (name.ends_with('.')) name.remove_suffix(1);
  while (srv && name.starts_with('_') && name.find('.') != std::string_view::npos) {
    name.remove_prefix(name.find('.') + 1);
  }
  return name;
}

bool HasNames(const BackendConfig& backend) {
  return std::ranges::any_of(backend.servers,
                             [](const ServerConfig& server) { return server.is_named(); });
}

bool MayReach(const BackendConfig& backend, const SocketAddress& server) {
  return server.is_local() || backend.tls.enabled ||
         std::ranges::any_of(backend.plaintext_networks, [&](const Cidr& network) {
           return network.Contains(server.endpoint());
         });
}

bool PinsWorkers(const Config& config) {
  return config.pin_workers == Pinning::kOn ||
         (config.pin_workers == Pinning::kAuto && !config.throttled);
}

uint32_t OutputBuffers(const GlobalLimits& limits) {
  if (limits.output_buffers != 0) return limits.output_buffers;
  return kBlocksPerSession * SlotsOf(limits);
}

uint32_t HandshakesInFlight(const GlobalLimits& limits) {
  return limits.handshakes_in_flight != 0 ? limits.handshakes_in_flight : SlotsOf(limits);
}

uint32_t HandshakeQueue(const GlobalLimits& limits) {
  return limits.handshake_queue != 0 ? limits.handshake_queue : SlotsOf(limits);
}

uint32_t DataListeners(const Config& config) {
  const bool any = std::ranges::any_of(config.listeners, [](const ListenerConfig& listener) {
    return listener.protocol != nullptr && listener.protocol->data_channels;
  });
  // A channel that gave way has its socket until nothing of it is in flight.
  return any ? config.limits.data_listeners + kLeavingSlots : 0;
}

}  // namespace starling
