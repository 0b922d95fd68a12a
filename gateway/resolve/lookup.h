// One look-up of a name: the hosts file, then DNS, by UDP and, where an answer is cut off, by TCP.
// It never blocks on the network; its owner calls Turn() after poll.
//
// Each look-up has a channel of the library of its own. So it reads resolv.conf anew, uses ports
// and ids of its own, and ends with everything that belongs to it.
//
// Not for: when to look a name up, and what becomes of the answer (name_record.h).
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/resolve/answer.h"

namespace starling {

struct LookupOptions {
  uint32_t timeout_ms = 5'000;  // for all of it
  std::string servers;          // "address:port,..."; empty: those of resolv.conf
  std::string resolv_conf;      // a file
};

class Lookup {
 public:
  using Clock = std::chrono::steady_clock;

  // `known`: the last good answer. It decides what a failure of a part means: with it, a host keeps
  // the addresses of the family that could not be asked for, and everything else fails. Without it,
  // half an answer is better than none.
  Lookup(const NameQuery& query, const LookupOptions& options,
         const std::vector<FoundAddress>& known, Clock::time_point now);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // What to poll for, and until when.
  void AddTo(std::vector<pollfd>& polled) const;
  Clock::time_point wake_at() const;
  // `polled`: what AddTo has added, after poll.
  void Turn(const pollfd* polled, size_t count, Clock::time_point now);

  bool over() const;
  const Answer& answer() const;  // once it is over

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
