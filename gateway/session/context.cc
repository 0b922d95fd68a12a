#include "gateway/session/context.h"

#include <new>

#include "gateway/io/clock.h"

namespace starling {

DialoguePool::~DialoguePool() {
  for (void* memory : free_) ::operator delete(memory, std::align_val_t{alignof(Dialogue)});
}

Dialogue* DialoguePool::Make(const ProtocolRow& protocol, const DialogueOptions& options) {
  void* memory;
  if (free_.empty()) {
    memory = ::operator new(sizeof(Dialogue), std::align_val_t{alignof(Dialogue)});
  } else {
    memory = free_.back();
    free_.pop_back();
  }
  return new (memory) Dialogue(protocol, options);
}

void DialoguePool::Destroy(Dialogue* dialogue) {
  dialogue->~Dialogue();
  free_.push_back(dialogue);
}

WorkerContext::WorkerContext(const GlobalLimits& limits_in, uint32_t index_in)
    : limits(limits_in),
      index(index_in),
      table(limits_in.sessions, limits_in.refusals),
      pool(limits_in.output_buffers),
      bulk_pool(limits_in.bulk_buffers, BufferPool::kBulkBlockSize),
      timers(limits_in.sessions + limits_in.refusals, MonotonicNow()),
      now(MonotonicNow()),
      scratch(BufferPool::kBlockSize) {
  ready.reserve(table.size());
  again.reserve(table.size());
}

}  // namespace starling
