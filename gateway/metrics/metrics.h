// The counters of one worker: only that worker writes them, and the exporter reads them.
// A new metric needs a row in the table (list.h) and an increment where the event
// happens.
//
// A cell is a relaxed 64-bit atomic with one writer, so that an increment is a load and a
// store without a locked instruction. The cell of a gauge goes up and down, maybe below
// zero; the sum over all workers is exact modulo 2^64.
//
// Not for: names and help texts (list.h), or turning cells into series (exporter.h).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "gateway/metrics/list.h"

namespace starling {

using ListenerId = uint32_t;  // a listener's name keeps its id for the life of the process
// The same for a backend's server. Unlike its ServerId (upstream.h), which is an index
// into the servers of one configuration.
using ServerSeries = uint32_t;

namespace metrics_internal {

// The index of each family's first cell among the cells of one listener, server or
// worker. The last element is the number of cells.
template <size_t n>
constexpr std::array<size_t, n + 1> OffsetsOf(const FamilyRow (&rows)[n]) {
  std::array<size_t, n + 1> offsets{};
  for (size_t i = 0; i < n; ++i) offsets[i + 1] = offsets[i] + rows[i].cells();
  return offsets;
}

inline constexpr auto kListenerOffsets = OffsetsOf(kListenerFamilies);
inline constexpr auto kServerOffsets = OffsetsOf(kServerFamilies);
inline constexpr auto kWorkerOffsets = OffsetsOf(kWorkerFamilies);
// The buckets, the bucket above the last bound, and the sum in microseconds.
inline constexpr size_t kHistogramCells = kHistogramBuckets + 2;
inline constexpr size_t kListenerStride =
    kListenerOffsets.back() + kHistogramCount * kHistogramCells;
inline constexpr size_t kServerStride = kServerOffsets.back();
inline constexpr size_t kWorkerStride = kWorkerOffsets.back();

// The unit of allocation: two cache lines, because processors fetch them in pairs. No two
// shards share a unit.
inline constexpr size_t kCellsPerLine = 16;
struct alignas(kCellsPerLine * sizeof(uint64_t)) Line {
  std::array<uint64_t, kCellsPerLine> cells;
};
static_assert(sizeof(Line) == 128 && std::atomic_ref<uint64_t>::is_always_lock_free);

struct Unmap {
  size_t size = 0;
  void operator()(Line* lines) const;
};

}  // namespace metrics_internal

class Shard {
 public:
  // Makes zeroed cells for listeners 0 to listeners-1 and servers 0 to servers-1.
  // Untouched cells take no resident memory, so `listeners` and `servers` may be large.
  Shard(size_t listeners, size_t servers);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // `row` and `col` index the family's two labels (list.h); pass 0 for a label that it
  // does not have. For gauges, n may be negative. An id or index out of range is a bug of
  // the caller and ends the process.
  void Add(Family family, ListenerId listener, size_t row = 0, size_t col = 0, int64_t n = 1) {
    Bump(ListenerCell(family, listener, row, col), n);
  }
  void AddServer(ServerFamily family, ServerSeries server, size_t row = 0, int64_t n = 1) {
    Bump(ServerCell(family, server, row), n);
  }
  void AddWorker(WorkerFamily family, size_t row = 0, int64_t n = 1) {
    Bump(WorkerCell(family, row), n);
  }
  void SetWorker(WorkerFamily family, uint64_t value, size_t row = 0) {
    WorkerCell(family, row).store(value, std::memory_order_relaxed);
  }
  void Observe(Histogram histogram, ListenerId listener, uint64_t micros);

  uint64_t Get(Family family, ListenerId listener, size_t row = 0, size_t col = 0) const {
    return ListenerCell(family, listener, row, col).load(std::memory_order_relaxed);
  }
  uint64_t GetServer(ServerFamily family, ServerSeries server, size_t row = 0) const {
    return ServerCell(family, server, row).load(std::memory_order_relaxed);
  }
  uint64_t GetWorker(WorkerFamily family, size_t row = 0) const {
    return WorkerCell(family, row).load(std::memory_order_relaxed);
  }
  struct HistogramView {
    std::array<uint64_t, kHistogramBuckets + 1> buckets;  // not cumulative; the last has no bound
    uint64_t sum_micros;
  };
  HistogramView GetHistogram(Histogram histogram, ListenerId listener) const;

  size_t listeners() const { return listeners_; }
  size_t servers() const { return servers_; }

 private:
  using Cell = std::atomic_ref<uint64_t>;

  static void Bump(Cell cell, int64_t n) {
    cell.store(cell.load(std::memory_order_relaxed) + static_cast<uint64_t>(n),
               std::memory_order_relaxed);
  }
  static void Require(bool holds) {
    if (!holds) [[unlikely]] {
      std::abort();
    }
  }
  Cell At(size_t index) const {
    return Cell(lines_.get()[index / metrics_internal::kCellsPerLine]
                    .cells[index % metrics_internal::kCellsPerLine]);
  }

  Cell ListenerCell(Family family, ListenerId listener, size_t row, size_t col) const {
    using namespace metrics_internal;
    const FamilyRow& table = kListenerFamilies[static_cast<size_t>(family)];
    Require(listener < listeners_ && row < table.rows.size() && col < table.cols.size());
    return At(listener * kListenerStride + kListenerOffsets[static_cast<size_t>(family)] +
              row * table.cols.size() + col);
  }
  Cell ServerCell(ServerFamily family, ServerSeries server, size_t row) const {
    using namespace metrics_internal;
    Require(server < servers_ && row < kServerFamilies[static_cast<size_t>(family)].rows.size());
    return At(server_base_ + server * kServerStride + kServerOffsets[static_cast<size_t>(family)] +
              row);
  }
  Cell WorkerCell(WorkerFamily family, size_t row) const {
    using namespace metrics_internal;
    Require(row < kWorkerFamilies[static_cast<size_t>(family)].rows.size());
    return At(worker_base_ + kWorkerOffsets[static_cast<size_t>(family)] + row);
  }
  size_t HistogramIndex(Histogram histogram, ListenerId listener) const {
    using namespace metrics_internal;
    Require(listener < listeners_);
    return listener * kListenerStride + kListenerOffsets.back() +
           static_cast<size_t>(histogram) * kHistogramCells;
  }

  size_t listeners_;
  size_t servers_;
  size_t server_base_;  // index of the servers' first cell
  size_t worker_base_;
  std::unique_ptr<metrics_internal::Line, metrics_internal::Unmap> lines_;
};

}  // namespace starling
