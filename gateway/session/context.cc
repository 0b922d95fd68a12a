#include "gateway/session/context.h"

#include <new>

#include "gateway/io/clock.h"

namespace starling {
namespace {

uint32_t ForNewSources(const GlobalLimits& limits) {
  return static_cast<uint32_t>(uint64_t{limits.sessions} * limits.new_sources_percent / 100);
}

}  // namespace

DialoguePool::~DialoguePool() { Trim(); }

void DialoguePool::Trim() {
  for (Size& size : sizes_) {
    for (void* memory : size.free) ::operator delete(memory);
    size.free = {};
  }
}

std::vector<void*>& DialoguePool::FreeOf(const ProtocolRow& protocol) {
  for (Size& size : sizes_) {
    if (size.octets == protocol.storage_size) return size.free;
  }
  return sizes_.emplace_back(Size{protocol.storage_size, {}}).free;
}

Dialogue* DialoguePool::Make(const ProtocolRow& protocol, const DialogueOptions& options) {
  std::vector<void*>& free = FreeOf(protocol);
  void* memory;
  if (free.empty()) {
    memory = ::operator new(kDialogueHeader + protocol.storage_size);
  } else {
    memory = free.back();
    free.pop_back();
  }
  return new (memory) Dialogue(protocol, options, static_cast<uint8_t*>(memory) + kDialogueHeader);
}

void DialoguePool::Destroy(Dialogue* dialogue) {
  std::vector<void*>& free = FreeOf(*dialogue->protocol);
  dialogue->~Dialogue();
  free.push_back(dialogue);
}

WorkerContext::WorkerContext(const GlobalLimits& limits_in, uint32_t index_in)
    : SideResources(OutputBuffers(limits_in), limits_in.bulk_buffers,
                    size_t{kBlocksPerSession} * SlotsOf(limits_in)),
      limits(limits_in),
      index(index_in),
      table(limits_in.sessions, limits_in.refusals),
      places(limits_in.sessions, ForNewSources(limits_in)),
      half_open(table.size()),
      half_open_again(table.size()),
      half_open_capped(table.size()),
      half_open_channels(table.size()),
      half_open_ports(table.size()),
      half_open_served(table.size()),
      timers(table.size(), MonotonicNow()),
      now(MonotonicNow()),
      admissions(table.size(), HandshakeQueue(limits_in), HandshakesInFlight(limits_in)),
      scratch(kClientScratch + BufferPool::kBlockSize) {
  ready.reserve(table.size());
  again.reserve(table.size());
  overtime.reserve(table.size());
}

}  // namespace starling
