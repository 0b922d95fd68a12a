// Counters of one worker: written by that worker alone, read by the exporter.
// The list of metrics is one table (list.h); a new one is a row there and an
// increment where it happens.
//
// A cell is a relaxed 64-bit atomic with a single writer: an increment is a
// load and a store, no locked instruction. Gauges are cells that go up and
// down; the sum over workers is exact modulo 2^64.
//
// Not for: names and text (list.h), or turning cells into series (exporter.h).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "gateway/metrics/list.h"

namespace starling {

using ListenerId = uint32_t;  // kept by a listener's name for the life of the process
// The same for a server of a backend. Not its ServerId (upstream.h), which is an index
// into one configuration's servers.
using ServerSeries = uint32_t;

namespace metrics_internal {

// Where each family's cells begin within those of one listener, server or
// worker; the last element is their number.
template <size_t n>
constexpr std::array<size_t, n + 1> OffsetsOf(const FamilyRow (&rows)[n]) {
  std::array<size_t, n + 1> offsets{};
  for (size_t i = 0; i < n; ++i) offsets[i + 1] = offsets[i] + rows[i].cells();
  return offsets;
}

inline constexpr auto kListenerOffsets = OffsetsOf(kListenerFamilies);
inline constexpr auto kServerOffsets = OffsetsOf(kServerFamilies);
inline constexpr auto kWorkerOffsets = OffsetsOf(kWorkerFamilies);
// Buckets, the one above the last bound, and the sum in microseconds.
inline constexpr size_t kHistogramCells = kHistogramBuckets + 2;
inline constexpr size_t kListenerStride =
    kListenerOffsets.back() + kHistogramCount * kHistogramCells;
inline constexpr size_t kServerStride = kServerOffsets.back();
inline constexpr size_t kWorkerStride = kWorkerOffsets.back();

// The unit of allocation: two cache lines, since processors fetch them in
// pairs. No two shards share one.
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
  // Cells for listeners 0 to listeners-1 and servers 0 to servers-1, all 0. Memory that
  // was never counted in is not resident, so there may be room for many.
  Shard(size_t listeners, size_t servers);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // `row` and `col` index the two label dimensions of the family (0 where it
  // has fewer); see list.h. n may be -1 for gauges. An id or index out of its
  // range ends the process: it is a fault of the caller's.
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
    std::array<uint64_t, kHistogramBuckets + 1> buckets;  // the last has no bound; not cumulated
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
  size_t server_base_;  // index of the first cell of servers
  size_t worker_base_;
  std::unique_ptr<metrics_internal::Line, metrics_internal::Unmap> lines_;
};

}  // namespace starling
