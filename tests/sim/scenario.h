// The scenario of a seed: the gateway's configuration and limits, the servers behind it,
// the faults of the network, and a plan for every session.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_backend.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

// A run is calm, or any mixture of these. In a calm run every session must end exactly as
// planned, complete and for the right reason.
struct Character {
  bool crowded = false;   // too few sessions, buffers and handshakes for the clients
  bool hostile = false;   // connections break at random
  bool draining = false;  // the gateway drains during its work
  bool calm() const { return !crowded && !hostile && !draining; }
};

struct Scenario {
  Character character;
  Config config;
  std::vector<ListenerSetup> listeners;  // as in config.listeners
  std::vector<BackendSetup> backends;    // the servers that exist
  std::vector<SocketAddress> black_holes;
  std::deque<SessionPlan> plans;
  // With `draining`: when the gateway stops accepting, ends its sessions, and stops at
  // once.
  uint64_t stop_us = 0;
  uint64_t end_us = 0;
  uint64_t stop_now_us = 0;
  std::vector<uint64_t> reloads_us;  // clients must not notice
};

// Draws all but the plans from world.rng(), and sets world.faults().
Scenario MakeScenario(World& world);
// Draws the plans. They point into `scenario`, which must not move afterwards.
void DrawPlans(World& world, Scenario& scenario);

// The reasons why a session of a calm run may end; kNone: it never began.
std::vector<EndReason> ExpectedReasons(const SessionPlan& plan);
// Whether both streams (or the message) arrive whole in a calm run.
bool ExpectsDelivery(const SessionPlan& plan);

}  // namespace starling::sim
