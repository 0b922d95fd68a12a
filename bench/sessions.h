// Long-lived TLS sessions, which can stay idle or exchange messages with an echo server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "bench/latencies.h"
#include "bench/load_options.h"
#include "bench/negotiated.h"
#include "bench/poller.h"
#include "bench/tls_connection.h"

namespace starling::bench {

class Sessions {
 public:
  Sessions(const LoadOptions& options, size_t count);

  // Opens all sessions; each sends one message and gets it back. False if one fails.
  bool Open();
  // Ends all sessions and waits until the gateway has ended them too. False if one fails.
  bool Leave();

  // From now on the sessions exchange messages, one at a time in each. In a closed loop
  // each message follows the previous one; with a rate, the sessions take turns.
  void KeepGoing();
  // Waits at most `seconds` for events and handles them.
  void Turn(double seconds);
  // Forgets the times and counts so far.
  void Reset();

  bool failed() const { return failed_; }
  size_t returned() const { return returned_; }
  const Latencies& latencies() const { return latencies_; }
  const Negotiated& negotiated() const { return negotiated_; }

 private:
  struct Slot {
    TlsConnection connection;
    size_t index = 0;
    size_t got = 0;      // octets of the pending message that came back
    bool busy = false;   // a message is pending
    double due = 0;      // Now() when the message was due
    size_t message = 0;  // messages sent at the rate
  };

  void Ready(Slot& slot, bool ended);
  void Check(Slot& slot, std::span<const uint8_t> octets);
  void Send(Slot& slot, double due);
  // With a rate: when the slot's next message is due.
  double NextDue(const Slot& slot) const;
  double SendDue();
  void Fail(const char* what);

  const LoadOptions& options_;
  TlsClient client_;
  Poller poller_;
  std::deque<Slot> slots_;
  std::vector<uint8_t> message_;
  size_t opened_ = 0;
  size_t ended_ = 0;
  size_t returned_ = 0;  // messages that came back
  double first_due_ = 0;
  size_t due_ = 0;  // messages of all sessions that have become due
  bool keep_going_ = false;
  bool failed_ = false;
  Latencies latencies_;
  Negotiated negotiated_;
};

}  // namespace starling::bench
