// One probe of one server: a connection from connect to goodbye. It never blocks; the
// prober's thread calls it after poll.
//
// Not for: deciding which server to probe when (prober.h), or TLS itself (probe_tls.h).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/upstream/probe_tls.h"
#include "gateway/upstream/prober.h"
#include "gateway/upstream/upstream.h"

namespace starling {

class Probing {
 public:
  using Clock = std::chrono::steady_clock;

  // What to probe, and how. All of it must outlive the probe.
  struct Target {
    const Server& server;
    const BackendConfig& backend;
    const ProbePlan& plan;
    UpstreamTls* tls = nullptr;  // null: plaintext
    uint32_t index = 0;          // of the server in its backend
    uint64_t turn = 0;           // of the addresses to connect from
  };

  // Begins to connect.
  Probing(const Target& target, Clock::time_point now, Clock::time_point deadline);
  ~Probing();
  Probing(const Probing&) = delete;
  Probing& operator=(const Probing&) = delete;

  // What to poll for, and until when. An fd of -1 means to wait for the time only: poll
  // would report POLLHUP for an unconnected Unix socket all the time.
  int fd() const { return retry_at_ == Clock::time_point::max() ? fd_ : -1; }
  short events() const;
  Clock::time_point wake_at() const;

  // Call after poll reported events or wake_at() has passed.
  void Turn(short revents, Clock::time_point now);

  // The results, which may be there before the probe is over: whether the server is up,
  // and its capabilities if the probe asked for them. A probe that is over without any failed for
  // a reason of the gateway's own.
  std::optional<bool> up() const { return up_; }
  std::optional<uint64_t> capabilities() const { return capabilities_; }
  bool over() const { return phase_ == Phase::kOver; }

 private:
  enum class Phase : uint8_t { kConnecting, kSecuring, kTalking, kLeaving, kOver };

  bool MakeSocket();
  void Connect(Clock::time_point now);
  void Connected(Clock::time_point now);
  void BeginTalk(Clock::time_point now);
  void Receive(Clock::time_point now);
  // False: the probe is over.
  bool Take(std::span<const uint8_t> octets, Clock::time_point now);
  void Understand(Clock::time_point now);
  void AskOn(Clock::time_point now);
  void Say(std::span<const uint8_t> octets);
  void Flush();
  void Alive(Clock::time_point now);  // sets the result "up" and says goodbye
  void Dead();                        // ends the probe; the result is "down" unless it is "up"

  const Target target_;
  Clock::time_point deadline_;
  Clock::time_point retry_at_ = Clock::time_point::max();    // when the backlog was full
  Clock::time_point settled_at_ = Clock::time_point::max();  // open until then: it is up
  int fd_ = -1;
  Phase phase_ = Phase::kConnecting;
  std::optional<bool> up_;
  std::optional<uint64_t> capabilities_;
  Probe* probe_ = nullptr;
  std::optional<ProbeTls> tls_;
  std::vector<uint8_t> in_;   // said by the server, and not consumed; out of TLS
  std::vector<uint8_t> out_;  // for the socket
  alignas(std::max_align_t) std::array<std::byte, kNegotiatorSize> storage_;
};

}  // namespace starling
