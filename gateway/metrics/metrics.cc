#include "gateway/metrics/metrics.h"

#include <sys/mman.h>

#include <algorithm>

namespace starling {

using metrics_internal::kCellsPerLine;

void metrics_internal::Unmap::operator()(Line* lines) const { munmap(lines, size); }

Shard::Shard(size_t listeners, size_t servers)
    : listeners_(listeners),
      servers_(servers),
      server_base_(listeners * metrics_internal::kListenerStride),
      worker_base_(server_base_ + servers * metrics_internal::kServerStride) {
  const size_t cells = worker_base_ + metrics_internal::kWorkerStride;
  const size_t lines = (cells + kCellsPerLine - 1) / kCellsPerLine;
  const size_t size = lines * sizeof(metrics_internal::Line);
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Require(memory != MAP_FAILED);
  lines_ = {static_cast<metrics_internal::Line*>(memory), metrics_internal::Unmap{size}};
}

void Shard::Observe(Histogram histogram, ListenerId listener, uint64_t micros) {
  const auto& bounds = kHistogramBoundsMicros[static_cast<size_t>(histogram)];
  const size_t base = HistogramIndex(histogram, listener);
  const auto bucket = std::lower_bound(std::begin(bounds), std::end(bounds), micros);
  Bump(At(base + static_cast<size_t>(bucket - std::begin(bounds))), 1);
  Bump(At(base + kHistogramBuckets + 1), static_cast<int64_t>(micros));
}

Shard::HistogramView Shard::GetHistogram(Histogram histogram, ListenerId listener) const {
  const size_t base = HistogramIndex(histogram, listener);
  HistogramView view;
  for (size_t i = 0; i < view.buckets.size(); ++i) {
    view.buckets[i] = At(base + i).load(std::memory_order_relaxed);
  }
  view.sum_micros = At(base + kHistogramBuckets + 1).load(std::memory_order_relaxed);
  return view;
}

}  // namespace starling
