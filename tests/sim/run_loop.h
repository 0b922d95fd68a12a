// Turns the gateway of a simulated run until all its clients and sessions are gone, and checks
// what must hold in any run: the worker never spins and keeps its limits, every accepted
// session ends once, log and counters agree, and nothing is left.
//
// Not for: what the clients of a run must have got (simulation.cc, ftp_simulation_test.cc).
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "gateway/config/config.h"
#include "protocols/contract/reason.h"
#include "tests/sim/gateway_fixture.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

class RunLoop {
 public:
  // All must outlive it.
  RunLoop(World& world, GatewayFixture& gateway, const Config& config)
      : world_(world), gateway_(gateway), config_(config) {}

  // The run's own part.
  std::function<bool()> clients_done;
  std::function<void()> after_turn = [] {};
  std::function<void(const SessionRecord&)> on_end = [](const SessionRecord&) {};

  // When the gateway reloads; clients must not notice.
  void ReloadAt(uint64_t us);
  // When the gateway stops accepting, ends its sessions, and stops at once.
  void DrainAt(uint64_t stop_us, uint64_t end_us, uint64_t stop_now_us);

  // Reports to World::Fail.
  void Run();

  uint64_t turns() const { return turns_; }
  // Of the sessions that have ended.
  const std::array<uint64_t, kEndReasonCount>& reasons() const { return reasons_; }

 private:
  void At(uint64_t us, const char* what, std::function<void()> action);
  void Turn();
  void TakeRecords();
  void CheckLimits();
  void CheckBooks();

  World& world_;
  GatewayFixture& gateway_;
  const Config& config_;
  bool going_on_ = true;
  bool stopped_ = false;
  uint64_t turns_ = 0;
  std::array<uint64_t, kEndReasonCount> reasons_{};
  std::array<uint64_t, std::size(kDirectionLabels)> logged_{};  // octets, by all sessions
};

}  // namespace starling::sim
