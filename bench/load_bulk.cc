// `load bulk`: throughput up, down or in both directions.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <vector>

#include "bench/load_options.h"
#include "bench/meter.h"
#include "bench/negotiated.h"
#include "bench/poller.h"
#include "bench/tls_connection.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr size_t kRecord = 16'384;
constexpr size_t kBuffer = 256 * 1024;
// The most octets of one connection before the next one's turn. Connections with more to
// do get further turns until they have none.
constexpr size_t kPiece = 1024 * 1024;

class Bulk {
 public:
  explicit Bulk(const LoadOptions& options)
      : writes_(options.direction != Direction::kDown),
        reads_(options.direction != Direction::kUp),
        client_(options, kBuffer, true),
        slots_(options.connections),
        record_(kRecord, 'b'),
        space_(kRecord) {}

  void Begin() {
    for (size_t i = 0; i < slots_.size(); ++i) {
      slots_[i].connection.Start(poller_, i, client_, i, nullptr);
    }
  }

  void RunFor(double seconds) {
    const double end = Now() + seconds;
    while (Now() < end && !failed_) {
      poller_.Wait(more_ ? 0 : 0.01, [this](uint64_t index, bool ended) {
        slots_[index].ready = true;
        slots_[index].ended |= ended;
      });
      more_ = false;
      for (Slot& slot : slots_) {
        if (slot.ready) Advance(slot);
        more_ |= slot.ready;
      }
    }
  }

  bool failed() const { return failed_; }
  size_t up() const { return up_; }
  size_t down() const { return down_; }
  const Negotiated& negotiated() const { return negotiated_; }

 private:
  struct Slot {
    TlsConnection connection;
    bool ready = false;  // the socket may have input or room
    bool ended = false;
    bool open = false;
  };

  void Advance(Slot& slot) {
    using State = TlsConnection::State;
    slot.connection.Advance(slot.ended);
    const auto open = [&] { return slot.connection.state() == State::kOpen; };
    if (open() && !slot.open) negotiated_.Add(slot.connection.ssl());
    slot.open = open();
    const bool reads_on = open() && Read(slot);
    const bool writes_on = open() && writes_ && Write(slot);
    slot.ready = reads_on || writes_on;
    if (slot.connection.state() != State::kFailed || failed_) return;
    failed_ = true;
    std::fprintf(stderr, "load: a connection failed: %s\n", slot.connection.error());
  }

  // True if the socket may have more. Also called when no data is expected, to read the
  // ticket.
  bool Read(Slot& slot) {
    for (size_t piece = 0; piece < kPiece;) {
      const size_t got = slot.connection.Read(space_);
      if (got == 0) return false;
      piece += got;
      if (reads_) down_ += got;
    }
    return true;
  }

  // True if the socket may take more.
  bool Write(Slot& slot) {
    for (size_t piece = 0; piece < kPiece;) {
      const size_t written = slot.connection.WriteSome(record_);
      if (written == 0) return false;
      piece += written;
      up_ += written;
    }
    return slot.connection.Flush();
  }

  const bool writes_, reads_;
  TlsClient client_;
  Poller poller_;
  std::deque<Slot> slots_;
  std::vector<uint8_t> record_, space_;
  size_t up_ = 0, down_ = 0;  // octets
  bool more_ = false;         // some slot is still ready
  bool failed_ = false;
  Negotiated negotiated_;
};

}  // namespace

int RunBulk(const LoadOptions& options) {
  Bulk bulk(options);
  bulk.Begin();
  bulk.RunFor(options.warm_up);
  const size_t up = bulk.up(), down = bulk.down();
  Meter meter(options);
  meter.Start();
  bulk.RunFor(options.seconds);
  meter.Stop();
  if (bulk.failed()) return 1;
  const double up_gb = static_cast<double>(bulk.up() - up) * 1e-9;
  const double down_gb = static_cast<double>(bulk.down() - down) * 1e-9;
  const double sum = up_gb + down_gb;
  meter.Print({.name = "gigabytes", .each = "ms_per_gb", .scale = 1e3, .decimals = 3}, sum);
  std::printf("up_gb=%.3f\ndown_gb=%.3f\ngb_per_second=%.3f\nconnections=%zu\n", up_gb, down_gb,
              sum / meter.seconds(), options.connections);
  std::printf("# GB: 10^9 octets of plaintext; for both directions, the sum.\n");
  bulk.negotiated().Print();
  return sum > 0 ? 0 : 1;
}

}  // namespace starling::bench
