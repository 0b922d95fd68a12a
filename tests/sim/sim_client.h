// A client of the gateway: a correct mail program, an attacker, or one that vanishes,
// stalls or sends nonsense, as its session's plan says.
//
// TLS is BoringSSL's own client in memory (gateway/tls/test_client.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/tls/test_client.h"
#include "tests/sim/coded_stream.h"
#include "tests/sim/plan.h"
#include "tests/sim/script.h"
#include "tests/sim/wire.h"

namespace starling::sim {

class SimClient {
 public:
  SimClient(World& world, Sessions& sessions, SessionPlan& plan);

  // Connects when the plan says so, and sets plan.client_done at its end.
  void Start();

 private:
  enum class Stage : uint8_t { kScript, kBody, kTls, kWait, kDone };

  void Connect();
  void Step();
  void Done();
  void WriteProxyHeader();

  // Before TLS and without it (sim_client.cc).
  void StepScript();
  void Say(std::string_view octets);
  void AfterScript();
  void Attack();
  void Drip();
  void StepBody();

  // TLS and what comes inside it (sim_client_tls.cc).
  TestClientOptions TlsOptions();
  std::string Hello();
  void StartTls();
  void StepTls();
  void TakePlaintext();
  void Produce();
  void Deed();
  void EndStream();
  void SendTls() { wire_.Send(std::exchange(tls_->output, {})); }

  World& world_;
  Sessions& sessions_;
  SessionPlan& plan_;
  Wire wire_;
  Stage stage_ = Stage::kScript;
  Script script_;
  size_t line_ = 0;       // index into the script
  bool said_ = false;     // has sent that line
  uint32_t replies_ = 0;  // replies to it so far
  std::unique_ptr<TestClient> tls_;
  StreamChecker checker_{kBackendMark};
  uint64_t sent_ = 0;
  uint64_t body_sent_ = 0;
  bool mail_sent_ = false;
  bool deed_done_ = false;
  bool stream_ended_ = false;  // our direction
  bool no_tls_ = false;        // TLS must not begin: octets were injected
};

}  // namespace starling::sim
