#include "tests/sim/simulation.h"

#include <algorithm>
#include <map>
#include <memory>

#include "tests/sim/gateway_fixture.h"
#include "tests/sim/run_loop.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim_client.h"

namespace starling::sim {
namespace {

class Simulation final : public Sessions {
 public:
  Simulation(uint64_t seed, bool print) : world_(seed) {
    world_.set_print(print);
    scenario_ = MakeScenario(world_);
    DrawPlans(world_, scenario_);
    for (SessionPlan& plan : scenario_.plans) by_endpoint_[ToString(plan.endpoint)] = &plan;
  }

  RunResult Run() {
    GatewayFixture gateway(world_, scenario_.config);
    for (const BackendSetup& setup : scenario_.backends) {
      backends_.push_back(std::make_unique<SimBackend>(world_, *this, setup));
    }
    for (SessionPlan& plan : scenario_.plans) {
      clients_.push_back(std::make_unique<SimClient>(world_, *this, plan));
      clients_.back()->Start();
    }
    RunLoop loop(world_, gateway, scenario_.config);
    loop.clients_done = [this] { return AllClientsDone(); };
    loop.after_turn = [this] {
      result_.most_at_once = std::max(result_.most_at_once, ClientsThere());
    };
    loop.on_end = [this](const SessionRecord& record) { TakeEnd(record); };
    for (const uint64_t us : scenario_.reloads_us) loop.ReloadAt(us);
    if (scenario_.character.draining) {
      loop.DrainAt(scenario_.stop_us, scenario_.end_us, scenario_.stop_now_us);
    }
    loop.Run();
    result_.turns = loop.turns();
    result_.reasons = loop.reasons();
    result_.accepted = static_cast<uint32_t>(gateway.Accepted());
    result_.resumed = static_cast<uint32_t>(gateway.Resumed());
    if (world_.failures().empty()) Judge();
    result_.trace_hash = world_.trace_hash();
    result_.failures = world_.failures();
    return result_;
  }

  SessionPlan* ById(uint32_t id) override {
    return id >= 1 && id <= scenario_.plans.size() ? &scenario_.plans[id - 1] : nullptr;
  }
  SessionPlan* ByEndpoint(const Endpoint& endpoint) override {
    const auto found = by_endpoint_.find(ToString(endpoint));
    return found == by_endpoint_.end() ? nullptr : found->second;
  }
  std::shared_ptr<TestSession>& Ticket(const ListenerSetup& listener) override {
    return tickets_[listener.config->name];
  }

 private:
  uint32_t ClientsThere() const {
    return static_cast<uint32_t>(
        std::count_if(scenario_.plans.begin(), scenario_.plans.end(),
                      [](const SessionPlan& plan) { return plan.connected && !plan.client_done; }));
  }

  bool AllClientsDone() const {
    return std::all_of(scenario_.plans.begin(), scenario_.plans.end(),
                       [](const SessionPlan& plan) { return plan.client_done; });
  }

  void TakeEnd(const SessionRecord& record) {
    SessionPlan* plan = ByEndpoint(record.peer);
    // A session that ended inside its PROXY header is identified by its socket.
    for (SessionPlan& other : scenario_.plans) {
      if (plan == nullptr && other.connects_from == record.peer) plan = &other;
    }
    if (plan == nullptr) return world_.Fail("a session of nobody ended");
    if (plan->ends++ > 0) world_.Fail(plan->Name() + " ended twice");
    plan->reason = record.reason;
  }

  void Judge() {
    for (const SessionPlan& plan : scenario_.plans) {
      if (scenario_.character.calm()) JudgeCalm(plan);
      JudgeAlways(plan);
    }
  }

  void JudgeAlways(const SessionPlan& plan) {
    const bool starttls = !plan.implicit();
    const bool passes_greeting = plan.listener->config->protocol->name == "managesieve";
    if (starttls && !passes_greeting && plan.client_got > 0 && !plan.client_text.empty()) {
      world_.Fail(plan.Name() + " got a second greeting: " + plan.client_text);
    }
    // No octet of an attack may reach a backend.
    const auto reason = plan.reason;
    if (reason == EndReason::kPlaintextInjection && (plan.tls_up || plan.fresh_legs > 0)) {
      world_.Fail(plan.Name() + " was refused too late");
    }
    const bool plain = plan.client == ClientKind::kPlainMail ||
                       plan.client == ClientKind::kPlainMailReset ||
                       plan.client == ClientKind::kMailThenUpgrade;
    if (plan.plain_legs > (plain ? 1u : 0u)) world_.Fail(plan.Name() + " opened a plaintext leg");
  }

  void JudgeCalm(const SessionPlan& plan) {
    const std::vector<EndReason> expected = ExpectedReasons(plan);
    if (plan.ends != 1) {
      return world_.Fail(plan.Name() + " ended " + std::to_string(plan.ends) + " times");
    }
    if (std::find(expected.begin(), expected.end(), plan.reason) == expected.end()) {
      world_.Fail(plan.Name() + " ended with " + std::string(Label(plan.reason)));
    }
    if (plan.backend == BackendKind::kTruncateMid && plan.client_saw_end) {
      world_.Fail(plan.Name() + ": its client takes what was cut off for the whole");
    }
    const bool cut_off =
        plan.client == ClientKind::kTruncate || plan.client == ClientKind::kResetInRelay;
    if (cut_off && plan.listener->tls_out && plan.backend_saw_end) {
      world_.Fail(plan.Name() + ": its backend takes what was cut off for the whole");
    }
    if (!ExpectsDelivery(plan)) return;
    const auto check = [&](uint64_t got, uint64_t wanted, const char* what) {
      if (got == wanted) return;
      world_.Fail(plan.Name() + ": " + what + " got " + std::to_string(got) + " octets of " +
                  std::to_string(wanted));
    };
    check(plan.backend_got, plan.client_octets, "its backend");
    if (plan.client == ClientKind::kPlainMail) {
      if (!plan.mail_taken) world_.Fail(plan.Name() + ": the message was not taken");
      return;
    }
    check(plan.client_got, plan.backend_octets, "its client");
    if (!plan.client_saw_end || !plan.backend_saw_end) {
      world_.Fail(plan.Name() + ": an end was not passed on");
    }
  }

  World world_;
  Scenario scenario_;
  std::map<std::string, SessionPlan*> by_endpoint_;
  std::map<std::string, std::shared_ptr<TestSession>> tickets_;
  std::vector<std::unique_ptr<SimBackend>> backends_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  RunResult result_;
};

}  // namespace

RunResult RunSimulation(uint64_t seed, bool print) {
  RunResult result;
  GatewayFixture::InFreshThread([&] { result = Simulation(seed, print).Run(); });
  return result;
}

}  // namespace starling::sim
