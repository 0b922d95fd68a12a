// What one seed is about: the gateway's configuration, its limits, the servers
// behind it, how unkind the network is, and a plan for every session.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "tests/sim/plan.h"
#include "tests/sim/sim_backend.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {

// A run is calm (every session must then end exactly as planned, whole and for
// the one right reason), or any mixture of these.
struct Character {
  bool crowded = false;   // few sessions, buffers and handshakes for too many clients
  bool hostile = false;   // connections break by chance
  bool draining = false;  // the gateway is stopped amid its work
  bool calm() const { return !crowded && !hostile && !draining; }
};

struct Scenario {
  Character character;
  Config config;
  std::vector<ListenerSetup> listeners;  // as in config.listeners
  std::vector<BackendSetup> backends;    // those that exist
  std::vector<SocketAddress> black_holes;
  std::deque<SessionPlan> plans;
  // With `draining`: when accepting stops, sessions are ended, all stops at once.
  uint64_t stop_us = 0;
  uint64_t end_us = 0;
  uint64_t stop_now_us = 0;
  std::vector<uint64_t> reloads_us;  // nobody must notice
};

// Draws all but the plans from world.rng(), and sets world.faults().
Scenario MakeScenario(World& world);
// Draws the plans; they point into `scenario`, which must not move any more.
void DrawPlans(World& world, Scenario& scenario);

// Reasons for which a session of a calm run may end; kNone: it never began.
std::vector<EndReason> ExpectedReasons(const SessionPlan& plan);
// In a calm run both streams (or the message) arrive whole.
bool ExpectsDelivery(const SessionPlan& plan);

}  // namespace starling::sim
