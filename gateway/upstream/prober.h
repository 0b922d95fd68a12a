// Finds out which servers are up and what they offer. One thread connects to each server
// periodically as a session would (PROXY header first), reads the greeting or asks for
// the capabilities, and says goodbye.
//
// Not for: connections of sessions, which report to Backends::MarkDown, or capabilities
// inside TLS.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/upstream/upstream.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// How to probe the servers of one backend.
struct ProbePlan {
  // The protocol to speak. If null, or if its server does not speak first, connecting
  // suffices.
  const ProtocolRow* protocol = nullptr;
  bool ask = false;         // ask for capabilities with the protocol's probe
  DialogueOptions options;  // for that probe, such as the name in EHLO
};

// The plan for each backend, by what its listeners need. The prober asks the backends of
// an opportunistic listener for capabilities if the protocol has a probe. It only
// connects to a backend that serves several protocols.
std::vector<ProbePlan> PlanProbes(const Config& config);

class Prober {
 public:
  // The prober calls this in its thread when a server goes up or down. Servers count as
  // up at the start.
  using OnChange = std::function<void(const Server& server, bool up)>;

  struct Options {
    std::vector<ProbePlan> plans;   // by backend
    uint32_t interval_ms = 60'000;  // between probes of a server that is up
    uint32_t retry_ms = 2'000;      // between probes of a server that is down
    uint32_t timeout_ms = 5'000;    // for one probe
    size_t parallel = 64;           // largest number of simultaneous probes
    OnChange on_change;             // may be empty
  };

  // `backends` must outlive the prober.
  Prober(Backends& backends, Options options);
  // With the plans and limits of `config`, which need not outlive the constructor.
  Prober(const Config& config, Backends& backends, OnChange on_change);
  // Stops the thread at once and cuts running probes.
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // Starts the thread, which begins to probe all servers.
  void Start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
