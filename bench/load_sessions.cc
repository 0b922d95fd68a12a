// `load echo` and `load idle`: TLS sessions that stay, with messages that come back
// or with nothing on them.
#include <poll.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <vector>

#include "bench/load_options.h"
#include "bench/poller.h"
#include "bench/tls_connection.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

// Sessions whose first message is still on its way.
constexpr size_t kOpeningAtOnce = 32;
// The gateway's memory is at rest when it has not moved by more than this share
// from one reading to the next, several times, or when it is time to go on.
constexpr double kAtRest = 0.001;
constexpr int kReadingsAtRest = 5;
constexpr int kReadings = 100;
constexpr int kBetweenReadingsMs = 100;

class Sessions {
 public:
  Sessions(const LoadOptions& options, size_t count)
      : options_(options), slots_(count), message_(options.octets) {
    for (size_t i = 0; i < message_.size(); ++i) message_[i] = static_cast<uint8_t>(i * 7 + 1);
  }

  // Opens all; each has sent one message and had it back. False if one has failed.
  bool Open() {
    while (returned_ < slots_.size() && !failed_) {
      while (opened_ < slots_.size() && opened_ - returned_ < kOpeningAtOnce) {
        slots_[opened_].connection.Start(poller_, opened_, client_, options_.address, opened_,
                                         nullptr);
        ++opened_;
      }
      Turn(1'000);
    }
    return !failed_;
  }

  // From now on each message that came back is followed by the next.
  void KeepGoing() {
    keep_going_ = true;
    for (Slot& slot : slots_) slot.connection.Write(message_);
  }

  void Turn(int timeout_ms) {
    poller_.Wait(timeout_ms, [this](uint64_t slot, bool ended) { Ready(slots_[slot], ended); });
  }

  bool failed() const { return failed_; }
  size_t returned() const { return returned_; }

 private:
  struct Slot {
    TlsConnection connection;
    size_t got = 0;  // of the message under way
  };

  void Ready(Slot& slot, bool ended) {
    const bool was_open = slot.connection.state() == TlsConnection::State::kOpen;
    slot.connection.Advance(ended);
    const auto open = [&] { return slot.connection.state() == TlsConnection::State::kOpen; };
    if (open() && !was_open) slot.connection.Write(message_);
    uint8_t space[16'384];
    while (open()) {
      const size_t got = slot.connection.Read(space);
      if (got == 0) break;
      Check(slot, {space, got});
    }
    if (slot.connection.state() != TlsConnection::State::kFailed || failed_) return;
    failed_ = true;
    std::fprintf(stderr, "load: a session has failed: %s\n", slot.connection.error());
  }

  void Check(Slot& slot, std::span<const uint8_t> octets) {
    if (octets.size() > message_.size() - slot.got ||
        !std::equal(octets.begin(), octets.end(),
                    message_.begin() + static_cast<ptrdiff_t>(slot.got))) {
      failed_ = true;
      std::fprintf(stderr, "load: other octets came back than were sent\n");
      return;
    }
    slot.got += octets.size();
    if (slot.got < message_.size()) return;
    slot.got = 0;
    ++returned_;
    if (keep_going_) slot.connection.Write(message_);
  }

  const LoadOptions& options_;
  TlsClient client_;
  Poller poller_;
  std::deque<Slot> slots_;
  std::vector<uint8_t> message_;
  size_t opened_ = 0;
  size_t returned_ = 0;  // messages
  bool keep_going_ = false;
  bool failed_ = false;
};

// The gateway's memory once it no longer moves.
double SettledPss(pid_t pid, Sessions& sessions) {
  double last = PssKib(pid);
  int at_rest = 0;
  for (int i = 0; i < kReadings && at_rest < kReadingsAtRest && !sessions.failed(); ++i) {
    poll(nullptr, 0, kBetweenReadingsMs);
    sessions.Turn(0);
    const double now = PssKib(pid);
    at_rest = std::abs(now - last) <= kAtRest * last ? at_rest + 1 : 0;
    last = now;
  }
  return last;
}

}  // namespace

int RunEcho(const LoadOptions& options) {
  Sessions sessions(options, options.connections);
  if (!sessions.Open()) return 1;
  sessions.KeepGoing();
  const auto run = [&](double seconds) {
    const double end = Now() + seconds;
    while (Now() < end && !sessions.failed()) sessions.Turn(10);
  };
  run(options.warm_up);
  Meter meter(options);
  const size_t before = sessions.returned();
  meter.Start();
  run(options.seconds);
  meter.Stop();
  meter.Print("round_trips", sessions.returned() - before);
  return sessions.failed() ? 1 : 0;
}

int RunIdle(const LoadOptions& options) {
  if (options.pid == 0) {
    std::fprintf(stderr, "load: idle needs --pid\n");
    return 2;
  }
  // One session first: code and tables that the first one touches are not the
  // next one's. It stays until the end.
  Sessions first(options, 1);
  if (!first.Open()) return 1;
  const double before = SettledPss(options.pid, first);
  Sessions sessions(options, options.sessions);
  Meter meter(options);
  meter.Start();
  if (!sessions.Open()) return 1;
  meter.Stop();
  const double after = SettledPss(options.pid, sessions);
  if (sessions.failed()) return 1;
  std::printf("sessions=%zu\nopen_seconds=%.2f\n", options.sessions, meter.seconds());
  std::printf("pss_before_kib=%.0f\npss_after_kib=%.0f\npss_session_kib=%.3f\n", before, after,
              (after - before) / static_cast<double>(options.sessions));
  return before < 0 || after < 0 ? 1 : 0;
}

}  // namespace starling::bench
