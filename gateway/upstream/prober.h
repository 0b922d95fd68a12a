// Finds out which servers live and what they offer: one thread that connects to
// each server now and then, as a session would (PROXY header first), reads its
// greeting or asks for its capabilities, and leaves politely.
//
// Not for: connections of sessions, which tell what they find by
// Backends::MarkDown; or what a server offers once TLS has begun.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/upstream/upstream.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// How the servers of one backend are asked.
struct ProbePlan {
  // Whose dialogue: null or one whose server does not speak first: connecting
  // is enough.
  const ProtocolRow* protocol = nullptr;
  bool ask = false;         // run the protocol's own probe
  DialogueOptions options;  // for that probe: the name it gives itself
};

// By backend: what its listeners need. A backend of an opportunistic listener
// (its own or its plaintext one) is asked where the protocol has a probe; one
// that serves listeners of several protocols is only connected to.
std::vector<ProbePlan> PlanProbes(const Config& config);

class Prober {
 public:
  // Called in the prober's thread when a server is found to have changed; one
  // that is up at first sight has not.
  using OnChange = std::function<void(const Server& server, bool up)>;

  struct Options {
    std::vector<ProbePlan> plans;   // by backend
    uint32_t interval_ms = 60'000;  // of a server that is up
    uint32_t retry_ms = 2'000;      // of one that is down
    uint32_t timeout_ms = 5'000;    // of one probe, all together
    size_t parallel = 64;           // probes at once
    OnChange on_change;             // may be empty
  };

  // `backends` outlives the prober.
  Prober(Backends& backends, Options options);
  // With the plans and limits of `config`, which need not outlive the call.
  Prober(const Config& config, Backends& backends, OnChange on_change);
  // Stops the thread at once, amid probes too.
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // Begins with all servers at once.
  void Start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
