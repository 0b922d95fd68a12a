// `load handshakes`: TLS connections from connect to close, some at once, each
// followed by the next.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <utility>
#include <vector>

#include "bench/load_options.h"
#include "bench/poller.h"
#include "bench/tls_connection.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

class Handshakes {
 public:
  explicit Handshakes(const LoadOptions& options)
      : options_(options), connections_(options.connections) {}

  // By a connection of its own, which sends an octet: a gateway may wait with its
  // ticket until it has something to write. False if none came.
  bool FetchTicket() {
    TlsConnection& connection = connections_[0];
    connection.Start(poller_, 0, client_, options_.address, number_++, nullptr);
    bool written = false;
    const double end = Now() + 5;
    while (client_.ticket() == nullptr && Now() < end) {
      poller_.Wait(10, [&](uint64_t, bool ended) {
        connection.Advance(ended);
        if (connection.state() != TlsConnection::State::kOpen) return;
        uint8_t octet[1] = {'x'};
        if (!std::exchange(written, true)) connection.Write(octet);
        connection.Read(octet);
      });
    }
    connection.Close();
    session_ = bssl::UpRef(client_.ticket());
    return session_ != nullptr;
  }

  void Begin() {
    for (size_t slot = 0; slot < connections_.size(); ++slot) Next(slot);
  }

  void RunFor(double seconds) {
    const double end = Now() + seconds;
    while (Now() < end) Turn();
  }

  // Forgets what was counted so far.
  void Reset() {
    done_ = resumed_ = lost_ = 0;
    connect_.clear();
    open_.clear();
  }

  size_t done() const { return done_; }
  size_t resumed() const { return resumed_; }
  size_t lost() const { return lost_; }

  void PrintTimes() {
    PrintTimes("connect", connect_);
    PrintTimes("handshake", open_);
  }

 private:
  void Next(size_t slot) {
    connections_[slot].Start(poller_, slot, client_, options_.address, number_++, session_.get());
    if (connections_[slot].state() == TlsConnection::State::kFailed) Lost(connections_[slot]);
  }

  void Turn() {
    poller_.Wait(10, [this](uint64_t slot, bool ended) { Ready(slot, ended); });
  }

  void Ready(size_t slot, bool ended) {
    TlsConnection& connection = connections_[slot];
    connection.Advance(ended);
    if (connection.state() == TlsConnection::State::kOpen) {
      connect_.push_back(connection.connected() - connection.started());
      open_.push_back(connection.opened() - connection.started());
      connection.Finish();
    }
    if (connection.state() == TlsConnection::State::kEnded) {
      ++done_;
      resumed_ += connection.resumed();
      Next(slot);
    } else if (connection.state() == TlsConnection::State::kFailed) {
      Lost(connection);
      Next(slot);
    }
  }

  void Lost(const TlsConnection& connection) {
    constexpr size_t kToldOf = 5;
    if (++lost_ <= kToldOf) std::printf("# lost: %s\n", connection.error());
  }

  static void PrintTimes(const char* name, std::vector<double>& times) {
    if (times.empty()) return;
    std::sort(times.begin(), times.end());
    std::printf("%s_p50_ms=%.2f\n%s_p99_ms=%.2f\n%s_worst_ms=%.2f\n", name,
                times[times.size() / 2] * 1e3, name, times[times.size() * 99 / 100] * 1e3, name,
                times.back() * 1e3);
  }

  const LoadOptions& options_;
  TlsClient client_;
  Poller poller_;
  std::deque<TlsConnection> connections_;
  bssl::UniquePtr<SSL_SESSION> session_;
  size_t number_ = 0;
  size_t done_ = 0, resumed_ = 0, lost_ = 0;
  std::vector<double> connect_, open_;  // seconds, from connect()
};

}  // namespace

int RunHandshakes(const LoadOptions& options) {
  Handshakes handshakes(options);
  if (options.resume && !handshakes.FetchTicket()) {
    std::fprintf(stderr, "load: the gateway gave no ticket\n");
    return 1;
  }
  handshakes.Begin();
  handshakes.RunFor(options.warm_up);
  handshakes.Reset();
  Meter meter(options);
  meter.Start();
  handshakes.RunFor(options.seconds);
  meter.Stop();
  meter.Print("handshakes", handshakes.done());
  std::printf("resumed=%zu\nlost=%zu\n", handshakes.resumed(), handshakes.lost());
  handshakes.PrintTimes();
  return handshakes.done() > 0 ? 0 : 1;
}

}  // namespace starling::bench
