// TLS sessions that stay, each of which has had one message back.
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

  // Opens all; each has sent one message and had it back. False if one has failed.
  bool Open();
  // Ends all, each when the gateway has ended it too. False if one has failed.
  bool Leave();

  // From now on messages go there and back: each follows the one before, or at a
  // fixed rate, in turn over the sessions, one under way in each.
  void KeepGoing();
  // Waits at most so long for something to happen, and does what is to be done.
  void Turn(double seconds);
  // Forgets the times so far.
  void Reset();

  bool failed() const { return failed_; }
  size_t returned() const { return returned_; }
  const Latencies& latencies() const { return latencies_; }
  const Negotiated& negotiated() const { return negotiated_; }

 private:
  struct Slot {
    TlsConnection connection;
    size_t index = 0;
    size_t got = 0;      // of the message under way
    bool busy = false;   // one is under way
    double due = 0;      // Now() when it was to be sent
    size_t message = 0;  // how many were sent at the rate
  };

  void Ready(Slot& slot, bool ended);
  void Check(Slot& slot, std::span<const uint8_t> octets);
  void Send(Slot& slot, double due);
  // At a rate: when the slot's next message is due.
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
  size_t returned_ = 0;  // messages
  double first_due_ = 0;
  size_t due_ = 0;  // messages that have become due, over all sessions
  bool keep_going_ = false;
  bool failed_ = false;
  Latencies latencies_;
  Negotiated negotiated_;
};

}  // namespace starling::bench
