#include "gateway/config/config.h"

#include <algorithm>

namespace starling {

bool PinsWorkers(const Config& config) {
  return config.pin_workers == Pinning::kOn ||
         (config.pin_workers == Pinning::kAuto && !config.throttled);
}

uint32_t OutputBuffers(const GlobalLimits& limits) {
  if (limits.output_buffers != 0) return limits.output_buffers;
  return kBlocksPerSession * SlotsOf(limits);
}

uint32_t DataListeners(const Config& config) {
  const bool any = std::ranges::any_of(config.listeners, [](const ListenerConfig& listener) {
    return listener.protocol != nullptr && listener.protocol->data_channels;
  });
  // A channel that gave way has its socket until nothing of it is in flight.
  return any ? config.limits.data_listeners + kLeavingSlots : 0;
}

}  // namespace starling
