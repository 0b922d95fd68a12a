// TLS connections from connect to close, some at once: in a closed loop each is
// followed by the next, in an open loop they begin at a fixed rate.
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
  // `script`: what is said inside TLS; null: nothing.
  Visits(const LoadOptions& options, const Script* script);

  // By a connection of its own, which sends an octet: a gateway may wait with its
  // ticket until it has something to write. False if none came.
  bool FetchTicket();
  void Begin();
  void RunFor(double seconds);
  // Forgets what was counted so far.
  void Reset();

  size_t done() const { return done_; }
  // Prints what came of them, beside the meter's figures.
  void Print() const;

 private:
  struct Slot {
    TlsConnection connection;
    Dialogue dialogue;
    double due = 0;  // Now() when it was to begin
    bool spoken = false;
  };

  void Start(size_t index, double due);
  // Begins what there is a slot for and is due; returns how long to wait for more.
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
  std::deque<size_t> free_;  // slots with nothing under way
  bssl::UniquePtr<SSL_SESSION> session_;
  double first_due_ = 0;
  size_t due_ = 0;      // of all that were begun: in an open loop, the next one's number
  size_t number_ = 0;   // of all that were begun
  size_t told_of_ = 0;  // losses
  size_t done_ = 0, resumed_ = 0, lost_ = 0;
  Latencies connect_, open_, visit_;
  Negotiated negotiated_;
};

}  // namespace starling::bench
