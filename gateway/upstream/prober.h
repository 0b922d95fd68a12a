// Finds out which servers are up and what they offer. One thread connects to each server
// periodically as a session would (PROXY header first, then TLS where the backend has it),
// reads the greeting or asks a question, and says goodbye. A server that stays down is probed
// more and more rarely, at times that differ between gateways.
//
// Not for: connections of sessions, which report to Backends::MarkDown and Suspect.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/tls/upstream_tls.h"
#include "gateway/upstream/upstream.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// How to probe the servers of one backend.
struct ProbePlan {
  // The protocol to speak. If null, a server is up that accepts a connection and keeps it.
  const ProtocolRow* protocol = nullptr;
  bool ask = false;         // ask for capabilities with the protocol's probe
  DialogueOptions options;  // for what the probe says, such as the name in EHLO
  // Without a protocol: a server that says nothing is not up.
  bool must_speak = false;
};

// The plan for each backend, by what its listeners need. The prober asks the backends of
// an opportunistic listener for capabilities if the protocol has a probe. If a backend serves
// several protocols, the one by which a probe finds out most is spoken: a server must greet if
// any of them needs that. If several protocols find out as much as each other, the probe speaks
// none of them.
std::vector<ProbePlan> PlanProbes(const Config& config);

class Prober {
 public:
  // What the prober tells the log, in its own thread.
  enum class News : uint8_t {
    kUp,  // servers count as up at the start
    kDown,
    kOutOfPorts,  // sessions found no port to connect from; once a minute at most
  };
  using OnNews = std::function<void(const BackendConfig& backend, const Server& server, News news)>;

  struct Options {
    std::vector<ProbePlan> plans;                   // by backend
    std::vector<std::shared_ptr<UpstreamTls>> tls;  // by backend; null: plaintext
    uint32_t interval_ms = 60'000;                  // between probes of a server that is up
    uint32_t retry_ms = 2'000;                      // between probes that sessions ask for
    uint32_t retry_max_ms = 2'000;                  // of a server that stays down, at most
    uint32_t timeout_ms = 5'000;                    // for one probe
    size_t parallel = 64;                           // largest number of simultaneous probes
    OnNews on_news;                                 // may be empty
    // The time to the next probe, for tests; empty: the given one, or up to a quarter less.
    std::function<uint32_t(uint32_t ms)> jitter;
  };

  // `backends` must outlive the prober.
  Prober(Backends& backends, Options options);
  // With the plans and limits of `config`, which need not outlive the constructor. `tls` has
  // one element a backend.
  Prober(const Config& config, std::vector<std::shared_ptr<UpstreamTls>> tls, Backends& backends,
         OnNews on_news);
  // Stops the thread at once and cuts running probes.
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // Before Start(): stops `before`, the prober of the configuration before, and goes on where it
  // was, for the servers that both have. `its_backends` are those that it was made with.
  void TakeOver(Prober& before, const std::shared_ptr<const Backends>& its_backends);
  // Starts the thread, which begins to probe all servers.
  void Start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
