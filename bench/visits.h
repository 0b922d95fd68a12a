// Visits: TLS connections from connect to close, several at a time. In a closed loop each
// visit follows the previous one; in an open loop they begin at a fixed rate.
#pragma once

#include <cstddef>
#include <deque>

#include "bench/dialogue.h"
#include "bench/latencies.h"
#include "bench/load_options.h"
#include "bench/negotiated.h"
#include "bench/poller.h"
#include "bench/tls_connection.h"

namespace starling::bench {

class Visits {
 public:
  // `script`: the dialogue inside TLS; null for none.
  Visits(const LoadOptions& options, const Script* script);

  // Makes a separate connection to get a ticket. It sends an octet, because a gateway may
  // send its ticket with its first data. False if no ticket came.
  bool FetchTicket();
  void Begin();
  void RunFor(double seconds);
  // Forgets the counts so far.
  void Reset();

  size_t done() const { return done_; }
  // Prints the counts and latencies, in addition to the meter's figures.
  void Print() const;

 private:
  struct Slot {
    TlsConnection connection;
    Dialogue dialogue;
    double due = 0;  // Now() when the visit was due
    bool spoken = false;
  };

  void Start(size_t index, double due);
  // Begins the due visits while slots are free. Returns how long to wait for the next.
  double StartFree();
  void Ready(size_t index, bool ended);
  void Opened(Slot& slot);
  void Talk(Slot& slot);
  void Ended(size_t index);
  void Lost(const TlsConnection& connection);

  const LoadOptions& options_;
  const Script* const script_;
  TlsClient client_;
  Poller poller_;
  std::deque<Slot> slots_;
  std::deque<size_t> free_;  // indices of unused slots
  bssl::UniquePtr<SSL_SESSION> session_;
  double first_due_ = 0;
  size_t due_ = 0;      // in an open loop: the number of the next visit
  size_t number_ = 0;   // visits begun
  size_t told_of_ = 0;  // losses printed
  size_t done_ = 0, resumed_ = 0, lost_ = 0;
  Latencies connect_, open_, visit_;
  Negotiated negotiated_;
};

}  // namespace starling::bench
