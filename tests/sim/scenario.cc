#include "tests/sim/scenario.h"

#include <algorithm>

#include "gateway/config/source_defaults.h"
#include "protocols/registry.h"
#include "tests/sim/identities.h"

namespace starling::sim {
namespace {

// Few enough to be quick, and enough that 20 or more overlap.
constexpr uint32_t kSessions = 40;
// Most clients connect within this time.
constexpr uint64_t kRushUs = 300;

struct ListenerRow {
  const char* name;
  const char* protocol;
  TlsMode tls;
  Policy policy;
  bool unix_backend;
  ProxyOut proxy;
  ServerKind servers;
  bool proxy_in;
  bool tls_out = false;
};

constexpr ListenerRow kListeners[] = {
    {"mx", "smtp", TlsMode::kStartTls, Policy::kOpportunistic, false, ProxyOut::kV2,
     ServerKind::kUp, false},
    {"submission", "smtp", TlsMode::kStartTls, Policy::kRequire, false, ProxyOut::kV1,
     ServerKind::kUp, false},
    {"imap", "imap", TlsMode::kStartTls, Policy::kRequire, true, ProxyOut::kV2, ServerKind::kUp,
     false},
    {"pop3", "pop3", TlsMode::kStartTls, Policy::kRequire, false, ProxyOut::kV2, ServerKind::kUp,
     false},
    {"sieve", "managesieve", TlsMode::kStartTls, Policy::kRequire, false, ProxyOut::kV2,
     ServerKind::kUp, false},
    {"lmtp", "lmtp", TlsMode::kStartTls, Policy::kRequire, true, ProxyOut::kV2, ServerKind::kUp,
     false},
    {"imaps", "imap", TlsMode::kImplicit, Policy::kRequire, false, ProxyOut::kV2, ServerKind::kUp,
     false},
    {"other", "tcp", TlsMode::kImplicit, Policy::kRequire, true, ProxyOut::kNone, ServerKind::kUp,
     false},
    {"balanced", "smtp", TlsMode::kStartTls, Policy::kRequire, false, ProxyOut::kV2,
     ServerKind::kUp, true},
    {"far-mx", "smtp", TlsMode::kStartTls, Policy::kOpportunistic, false, ProxyOut::kV2,
     ServerKind::kUp, false, true},
    {"far-imap", "imap", TlsMode::kStartTls, Policy::kRequire, true, ProxyOut::kV1, ServerKind::kUp,
     false, true},
    {"far-imaps", "imap", TlsMode::kImplicit, Policy::kRequire, false, ProxyOut::kV2,
     ServerKind::kUp, false, true},
    {"down", "smtp", TlsMode::kStartTls, Policy::kRequire, false, ProxyOut::kV2, ServerKind::kDown,
     false},
    {"hole", "imap", TlsMode::kImplicit, Policy::kRequire, false, ProxyOut::kV2,
     ServerKind::kBlackHole, false},
    {"full", "pop3", TlsMode::kStartTls, Policy::kRequire, true, ProxyOut::kV2,
     ServerKind::kNeverAccepts, false},
};
// This many listeners, on which everything works, get most of the sessions.
constexpr size_t kWorking = 12;

// Load balancers that may send PROXY headers connect from here.
constexpr const char* kTrusted = "198.51.100.0/24";

void AddBackend(World& world, Scenario& scenario, const ListenerRow& row, bool inside_tls) {
  BackendConfig backend;
  backend.name = std::string(row.name) + (inside_tls ? "" : "-plain");
  backend.proxy = row.proxy;
  backend.tls.enabled = row.tls_out;
  if (row.tls_out) backend.tls.name = kServerName;
  // One of the servers may be a stranger's, which the gateway must reject.
  const bool stranger = row.tls_out && world.rng().Chance(200);
  // Several servers, so that the gateway can try another after a failed connect.
  const size_t servers = row.servers == ServerKind::kNeverAccepts ? 1 : 2;
  for (size_t i = 0; i < servers; ++i) {
    BackendSetup setup;
    setup.address = world.FreshAddress(row.unix_backend);
    setup.protocol = row.protocol;
    setup.proxy_header = row.proxy != ProxyOut::kNone;
    setup.inside_tls = inside_tls;
    if (row.tls_out) setup.tls = ServerTls::kBelieved;
    setup.accepts = row.servers == ServerKind::kUp;
    setup.backlog = row.servers == ServerKind::kNeverAccepts ? 1 : row.unix_backend ? 2 : 128;
    if (stranger && i == 0) setup.tls = ServerTls::kStranger;
    backend.servers.push_back(setup.address);
    if (row.servers == ServerKind::kBlackHole) {
      scenario.black_holes.push_back(setup.address);
    } else if (row.servers != ServerKind::kDown) {
      scenario.backends.push_back(setup);
    }
  }
  // One of the servers may be down; clients must not notice.
  if (row.servers == ServerKind::kUp && !stranger && world.rng().Chance(100)) {
    backend.servers.front() = world.FreshAddress(row.unix_backend);
  }
  scenario.config.backends.push_back(std::move(backend));
}

void AddListener(World& world, Scenario& scenario, const ListenerRow& row) {
  ListenerConfig listener;
  listener.name = row.name;
  listener.protocol = FindProtocol(row.protocol);
  listener.bind = {world.FreshAddress(false)};
  listener.tls = row.tls;
  listener.backend = static_cast<uint32_t>(scenario.config.backends.size());
  listener.dialogue.hostname = "gateway.sim";
  listener.dialogue.policy = row.policy;
  listener.limits.idle_ms = 20'000;
  listener.limits.record_ms = 10'000;
  if (row.proxy_in) listener.proxy_in.from = {*Cidr::Parse(kTrusted)};
  AddBackend(world, scenario, row, true);
  if (row.policy == Policy::kOpportunistic) {
    listener.plaintext_backend = static_cast<int32_t>(scenario.config.backends.size());
    AddBackend(world, scenario, row, false);
  }
  scenario.config.listeners.push_back(std::move(listener));
}

Character DrawCharacter(Rng& rng) {
  Character character;
  if (rng.Chance(400)) return character;
  while (character.calm()) {
    character.crowded = rng.Chance(500);
    character.hostile = rng.Chance(500);
    character.draining = rng.Chance(400);
  }
  return character;
}

void DrawFaults(World& world, const Character& character) {
  Rng& rng = world.rng();
  Faults& faults = world.faults();
  // These must never have a visible effect, so calm runs have them too.
  faults.partial_send = static_cast<uint32_t>(rng.Below(500));
  faults.short_receive = static_cast<uint32_t>(rng.Below(300));
  faults.delay = static_cast<uint32_t>(rng.Below(900));
  faults.max_delay_us = static_cast<uint32_t>(rng.Between(50, 2'000));
  faults.min_capacity = static_cast<uint32_t>(rng.Between(700, 8'000));
  faults.max_capacity = static_cast<uint32_t>(rng.Between(8'000, 100'000));
  if (!character.hostile) return;
  faults.break_connection = static_cast<uint32_t>(rng.Between(1, 30));
  faults.accept_error = static_cast<uint32_t>(rng.Below(50));
}

void DrawLimits(Rng& rng, const Character& character, GlobalLimits& limits) {
  limits.sessions = 2 * kSessions;
  limits.refusals = 30;
  limits.armed_accepts = static_cast<uint32_t>(rng.Between(1, 2));
  limits.output_buffers = 200;
  limits.bulk_buffers = static_cast<uint32_t>(rng.Below(8));
  limits.small_buffers = 1u << rng.Between(2, 5);
  limits.large_buffers = 1u << rng.Between(1, 4);
  limits.key_operations_per_turn = static_cast<uint32_t>(rng.Between(1, 4));
  // Fewer than handshakes, so that each place must come back. No client stalls with one: half
  // a hello takes none.
  limits.handshakes_in_flight = 8;
  limits.log_records = 4'096;
  if (!character.crowded) return;
  limits.sessions = static_cast<uint32_t>(rng.Between(12, 24));
  // Each listening socket has an accept armed, and each accept may be refused.
  limits.refusals = static_cast<uint32_t>(rng.Between(std::size(kListeners), 20));
  limits.small_buffers = 1u << rng.Between(0, 2);
  limits.large_buffers = 1u << rng.Between(0, 1);
  limits.handshakes_in_flight = static_cast<uint32_t>(rng.Between(1, 4));
  limits.handshake_queue = static_cast<uint32_t>(rng.Between(1, 6));
  if (rng.Chance(500)) limits.output_buffers = static_cast<uint32_t>(rng.Between(6, 60));
}

// Who has how much of a small table, and whose sessions weigh as one of many users.
void DrawShares(Rng& rng, Config& config) {
  uint64_t left = config.limits.sessions / 2;
  for (ListenerConfig& listener : config.listeners) {
    const uint64_t reserved = std::min(left, rng.Below(3));
    left -= reserved;
    listener.limits.reserved_sessions = static_cast<uint32_t>(reserved);
    if (rng.Chance(100)) listener.limits.most_sessions = static_cast<uint32_t>(reserved) + 3;
  }
  config.limits.new_sources_percent = static_cast<uint32_t>(rng.Below(20));
  constexpr SourceRole kRoles[] = {SourceRole::kClient, SourceRole::kClient, SourceRole::kTrusted,
                                   SourceRole::kExempt};
  const SourceRole role = kRoles[rng.Below(std::size(kRoles))];
  config.sources = {
      {.from = {*Cidr::Parse("0.0.0.0/0")}, .limits = kNoSourceLimits},
      {.from = {*Cidr::Parse("198.51.100.3")}, .role = role, .limits = kNoSourceLimits}};
}

uint64_t DrawOctets(Rng& rng) {
  const uint64_t kind = rng.Below(10);
  const uint64_t most = kind < 6 ? 2'000 : kind < 9 ? 20'000 : 120'000;
  return kMarkSize + 600 + rng.Below(most);
}

// The kinds of client that make sense on this listener.
ClientKind DrawClient(Rng& rng, const ListenerSetup& listener, bool is_mx) {
  if (listener.servers != ServerKind::kUp) return ClientKind::kStream;
  if (rng.Chance(450)) return ClientKind::kStream;
  for (;;) {
    const auto kind = static_cast<ClientKind>(rng.Below(static_cast<uint64_t>(ClientKind::kCount)));
    const bool implicit = listener.config->tls == TlsMode::kImplicit;
    switch (kind) {
      case ClientKind::kPlainMail:
      case ClientKind::kMailThenUpgrade:
      case ClientKind::kPlainMailReset:
        if (is_mx) return kind;
        break;
      case ClientKind::kPlainOnTls:
        if (implicit) return kind;
        break;
      case ClientKind::kProxyBad:
      case ClientKind::kProxyStall:
      case ClientKind::kProxyUntrusted:
        if (listener.proxy_in) return kind;
        break;
      case ClientKind::kQuit:
      case ClientKind::kLeaveEarly:
      case ClientKind::kResetEarly:
      case ClientKind::kDrip:
      case ClientKind::kInjectHello:
      case ClientKind::kInjectCommand:
      case ClientKind::kInjectLater:
      case ClientKind::kPlainAfterUpgrade:
      case ClientKind::kTlsOnPlain:
      case ClientKind::kHttp:
      case ClientKind::kOverlong:
      case ClientKind::kNul:
      case ClientKind::kManyCommands:
        if (!implicit) return kind;
        break;
      default:
        return kind;
    }
  }
}

BackendKind DrawBackend(Rng& rng, const SessionPlan& plan) {
  // Without a PROXY header a backend learns too late which session a connection belongs
  // to.
  if (plan.client != ClientKind::kStream || !plan.listener->proxy_out || rng.Chance(600)) {
    return BackendKind::kNormal;
  }
  const bool preauth = plan.listener->config->protocol->name == "imap" && !plan.implicit();
  for (;;) {
    const auto kind =
        static_cast<BackendKind>(rng.Below(static_cast<uint64_t>(BackendKind::kCount)));
    if (kind == BackendKind::kPreauth && !preauth) continue;
    if (kind == BackendKind::kSickFirst && !plan.listener->config->protocol->server_first) continue;
    if (kind >= BackendKind::kTruncateMid && !plan.listener->tls_out) continue;
    const bool greeting = kind == BackendKind::kRefuse || kind == BackendKind::kGarbage;
    if (!greeting || !plan.implicit()) return kind;
  }
}

SessionPlan DrawPlan(World& world, const Scenario& scenario, uint32_t id) {
  Rng& rng = world.rng();
  SessionPlan plan;
  plan.id = id;
  const size_t listener = rng.Below(rng.Chance(850) ? kWorking : std::size(kListeners));
  plan.listener = &scenario.listeners[listener];
  plan.client =
      DrawClient(rng, *plan.listener, kListeners[listener].policy == Policy::kOpportunistic);
  plan.backend = DrawBackend(rng, plan);
  plan.connects_from = plan.endpoint = world.FreshEndpoint();
  const auto host = static_cast<uint8_t>(rng.Between(1, 5));
  plan.connects_from.ip[3] = plan.endpoint.ip[3] = host;
  if (plan.listener->proxy_in) {
    plan.endpoint.ip = {203, 0, 113, host};
    if (plan.client == ClientKind::kProxyUntrusted) {
      plan.connects_from.ip = {192, 0, 2, 9};
      plan.endpoint = plan.connects_from;
    } else if (plan.client == ClientKind::kProxyBad || plan.client == ClientKind::kProxyStall) {
      plan.endpoint = plan.connects_from;
    }
  }
  plan.client_octets = DrawOctets(rng);
  plan.backend_octets = DrawOctets(rng);
  plan.client_ends_first = rng.Chance(500);
  switch (plan.client) {
    case ClientKind::kHalfRecord:
    case ClientKind::kCorruptRecord:
    case ClientKind::kIdle:
    case ClientKind::kTruncate:
    case ClientKind::kResetInRelay:
      plan.client_ends_first = true;  // the backend waits
      break;
    case ClientKind::kPlainMail:
    case ClientKind::kPlainMailReset:
      plan.client_octets -= plan.client_octets % kTextLine;
      break;
    default:
      break;
  }
  plan.tcp_end = rng.Chance(500);
  plan.pipelines = rng.Chance(500);
  plan.resumes = rng.Chance(500);
  if (rng.Chance(200)) plan.read_limit = static_cast<uint32_t>(rng.Between(200, 4'000));
  // Most clients connect early; some connect after others have gone.
  plan.start_us = static_cast<uint32_t>(rng.Below(rng.Chance(850) ? kRushUs : 3'000'000));
  return plan;
}

}  // namespace

Scenario MakeScenario(World& world) {
  Rng& rng = world.rng();
  Scenario scenario;
  scenario.character = DrawCharacter(rng);
  DrawFaults(world, scenario.character);
  DrawLimits(rng, scenario.character, scenario.config.limits);
  scenario.config.hostname = "gateway.sim";
  for (const ListenerRow& row : kListeners) AddListener(world, scenario, row);
  if (scenario.character.crowded) DrawShares(rng, scenario.config);
  return scenario;
}

void DrawPlans(World& world, Scenario& scenario) {
  Rng& rng = world.rng();
  for (size_t i = 0; i < std::size(kListeners); ++i) {
    ListenerSetup setup;
    setup.config = &scenario.config.listeners[i];
    setup.address = setup.config->bind.front();
    setup.servers = kListeners[i].servers;
    setup.proxy_in = kListeners[i].proxy_in;
    setup.tls_out = kListeners[i].tls_out;
    setup.proxy_out = kListeners[i].proxy != ProxyOut::kNone;
    scenario.listeners.push_back(setup);
  }
  for (const SocketAddress& address : scenario.black_holes) world.MakeBlackHole(address);
  for (uint32_t id = 1; id <= kSessions; ++id) {
    scenario.plans.push_back(DrawPlan(world, scenario, id));
  }
  if (rng.Chance(500)) {
    for (uint64_t left = rng.Between(1, 6); left > 0; --left) {
      scenario.reloads_us.push_back(rng.Below(rng.Chance(700) ? 20'000 : 5'000'000));
    }
  }
  if (!scenario.character.draining) return;
  scenario.stop_us = 2 * kRushUs + rng.Below(rng.Chance(700) ? 30'000 : 5'000'000);
  scenario.end_us = scenario.stop_us + rng.Below(rng.Chance(700) ? 30'000 : 10'000'000);
  scenario.stop_now_us = scenario.end_us + rng.Below(rng.Chance(700) ? 10'000 : 10'000'000);
  // A second signal, before the drain's deadline.
  if (rng.Chance(300)) scenario.end_us = scenario.stop_now_us + 1;
}

}  // namespace starling::sim
