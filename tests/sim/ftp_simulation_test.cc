// Runs hundreds of simulations of FTP with its data channels, each twice: clients that
// download and upload at once, in passive and active mode, and break off in every way, in
// networks and gateways that break off too.
//
// Holds in every run: nobody gets an octet of another file; an orderly end comes only behind
// the whole file; and no transfer that was cut short is said to be done. In a calm run each
// transfer also ends as planned, and the next one of the same client is not disturbed.
//
// seeds.h has its environment.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>

#include "protocols/registry.h"
#include "tests/sim/ftp_client.h"
#include "tests/sim/ftp_server.h"
#include "tests/sim/run_loop.h"
#include "tests/sim/scenario.h"
#include "tests/sim/seeds.h"

namespace starling::sim {
namespace {

// This many seeds reach all that is expected below.
constexpr uint64_t kFullRun = 400;
constexpr uint32_t kClients = 12;

struct FtpResult {
  uint64_t trace_hash = 0;
  std::vector<std::string> failures;
  std::array<uint64_t, static_cast<size_t>(FtpDeed::kCount)> arrived{};  // by deed
  std::array<uint64_t, static_cast<size_t>(FtpDeed::kCount)> cut{};      // begun, not arrived
  std::array<uint64_t, static_cast<size_t>(FtpSetup::kCount)> whole{};   // by setup
  std::array<uint64_t, kEndReasonCount> reasons{};
};

class FtpSimulation {
 public:
  FtpSimulation(uint64_t seed, bool print) : world_(seed) {
    world_.set_print(print);
    DrawCharacter();
    DrawLimits();
    server_ = world_.FreshAddress(false);
    BackendConfig& backend = config_.backends.emplace_back();
    backend.name = "files";
    backend.servers = {server_};
    backend.proxy = ProxyOut::kNone;
    AddListener("explicit", TlsMode::kStartTls);
    AddListener("implicit", TlsMode::kImplicit);
    uint32_t transfers = 0;
    for (uint32_t id = 1; id <= kClients; ++id) plans_.push_back(DrawPlan(id, transfers));
  }

  FtpResult Run() {
    GatewayFixture gateway(world_, config_);
    FtpServer server(world_, plans_, server_);
    std::deque<FtpClient> clients;
    for (FtpPlan& plan : plans_) clients.emplace_back(world_, plan).Start();
    RunLoop loop(world_, gateway, config_);
    loop.clients_done = [this] {
      return std::ranges::all_of(plans_, [](const FtpPlan& plan) { return plan.done; });
    };
    Schedule(loop);
    loop.Run();
    result_.reasons = loop.reasons();
    if (world_.failures().empty()) Judge();
    result_.trace_hash = world_.trace_hash();
    result_.failures = world_.failures();
    return result_;
  }

 private:
  void DrawCharacter() {
    Rng& rng = world_.rng();
    if (!rng.Chance(500)) {
      character_.crowded = rng.Chance(300);
      character_.hostile = rng.Chance(400);
      character_.draining = rng.Chance(500);
    }
    Faults& faults = world_.faults();
    faults.partial_send = static_cast<uint32_t>(rng.Below(500));
    faults.short_receive = static_cast<uint32_t>(rng.Below(300));
    faults.delay = static_cast<uint32_t>(rng.Below(900));
    faults.max_delay_us = static_cast<uint32_t>(rng.Between(50, 2'000));
    faults.min_capacity = static_cast<uint32_t>(rng.Between(700, 8'000));
    faults.max_capacity = static_cast<uint32_t>(rng.Between(8'000, 100'000));
    if (character_.hostile) {
      faults.break_connection = static_cast<uint32_t>(rng.Between(1, 20));
      faults.accept_error = static_cast<uint32_t>(rng.Below(30));
    }
  }

  void DrawLimits() {
    Rng& rng = world_.rng();
    GlobalLimits& limits = config_.limits;
    limits.sessions = 4 * kClients;
    limits.refusals = 8;
    limits.armed_accepts = static_cast<uint32_t>(rng.Between(1, 2));
    limits.output_buffers = 200;
    limits.bulk_buffers = static_cast<uint32_t>(rng.Below(8));
    limits.small_buffers = 1u << rng.Between(2, 5);
    limits.large_buffers = 1u << rng.Between(1, 4);
    limits.data_listeners = 2 * kClients;
    limits.log_records = 4'096;
    config_.hostname = "gateway.sim";
    if (!character_.crowded) return;
    limits.sessions = static_cast<uint32_t>(rng.Between(6, 2 * kClients));
    limits.small_buffers = 1u << rng.Between(0, 2);
    limits.data_listeners = static_cast<uint32_t>(rng.Between(1, 8));
  }

  void AddListener(const char* name, TlsMode tls) {
    ListenerConfig& listener = config_.listeners.emplace_back();
    listener.name = name;
    listener.protocol = FindProtocol("ftp");
    listener.bind = {world_.FreshAddress(false)};
    listener.tls = tls;
    listener.dialogue.hostname = "gateway.sim";
    listener.dialogue.policy = Policy::kRequire;
    listener.limits.idle_ms = 20'000;
    listener.limits.record_ms = 10'000;
    listener.limits.pre_relay_ms = 15'000;
  }

  FtpPlan DrawPlan(uint32_t id, uint32_t& transfers) {
    Rng& rng = world_.rng();
    FtpPlan plan;
    plan.id = id;
    plan.implicit = rng.Chance(300);
    plan.address = config_.listeners[plan.implicit ? 1 : 0].bind.front();
    plan.endpoint = world_.FreshEndpoint();
    plan.endpoint.ip[3] = static_cast<uint8_t>(100 + id);
    plan.start_us = static_cast<uint32_t>(rng.Below(20'000));
    for (uint64_t left = rng.Between(1, 5); left > 0; --left) {
      FtpTransfer& transfer = plan.transfers.emplace_back();
      transfer.id = ++transfers;
      transfer.upload = rng.Chance(500);
      transfer.setup = static_cast<FtpSetup>(rng.Below(static_cast<uint64_t>(FtpSetup::kCount)));
      if (rng.Chance(500)) {
        transfer.deed = static_cast<FtpDeed>(rng.Below(static_cast<uint64_t>(FtpDeed::kCount)));
      }
      if (!transfer.upload && transfer.deed == FtpDeed::kClientTruncates) {
        transfer.deed = FtpDeed::kWhole;
      }
      transfer.octets = DrawOctets(transfer.deed);
      transfer.sets_up_twice = rng.Chance(100);
      transfer.stranger = transfer.passive() && rng.Chance(100);
      transfer.early = rng.Chance(500);
      if (transfer.deed == FtpDeed::kClientVanishes) break;
    }
    return plan;
  }

  uint64_t DrawOctets(FtpDeed deed) {
    Rng& rng = world_.rng();
    if (deed == FtpDeed::kWhole && rng.Chance(100)) return 0;
    return kMarkSize + 600 + rng.Below(rng.Chance(700) ? 20'000 : 150'000);
  }

  void Schedule(RunLoop& loop) {
    Rng& rng = world_.rng();
    if (rng.Chance(300)) loop.ReloadAt(rng.Below(100'000));
    if (!character_.draining) return;
    const uint64_t stop = 10'000 + rng.Below(60'000);
    const uint64_t end = stop + rng.Below(30'000);
    const uint64_t now = end + rng.Below(rng.Chance(500) ? 10'000 : 10'000'000);
    // A second signal, before the drain's deadline.
    loop.DrainAt(stop, rng.Chance(300) ? now + 1 : end, now);
  }

  // --- the verdict ---

  void Judge() {
    for (const FtpPlan& plan : plans_) {
      for (const FtpTransfer& transfer : plan.transfers) {
        JudgeAlways(plan, transfer);
        if (character_.calm()) JudgeCalm(plan, transfer);
        const auto deed = static_cast<size_t>(transfer.deed);
        if (transfer.arrived()) {
          ++result_.arrived[deed];
          ++result_.whole[static_cast<size_t>(transfer.setup)];
        } else if (transfer.sent > 0) {
          ++result_.cut[deed];
        }
      }
      if (character_.calm() && !plan.vanished && !plan.said_goodbye) {
        world_.Fail("client " + std::to_string(plan.id) + " could not say goodbye");
      }
    }
  }

  void JudgeAlways(const FtpPlan& plan, const FtpTransfer& transfer) {
    const std::string counts =
        " (" + std::to_string(transfer.got) + " octets of " + std::to_string(transfer.sent) + ")";
    if (transfer.got > transfer.sent) world_.Fail(plan.Name(transfer) + ": more than was sent");
    if (transfer.got_end && !transfer.arrived()) {
      world_.Fail(plan.Name(transfer) + ": a part was taken for the whole" + counts);
    }
    const bool done = transfer.reply / 100 == 2;
    if (done && !transfer.arrived() && !plan.broken) {
      world_.Fail(plan.Name(transfer) + ": is said to be done" + counts);
    }
  }

  void JudgeCalm(const FtpPlan& plan, const FtpTransfer& transfer) {
    const auto fail = [&](const char* what) {
      world_.Fail(plan.Name(transfer) + ": " + what + ", reply " + std::to_string(transfer.reply));
    };
    switch (transfer.deed) {
      case FtpDeed::kWhole:
        if (transfer.reply != 226) fail("not done");
        if (!transfer.arrived() || transfer.got != transfer.octets) fail("not whole");
        return;
      case FtpDeed::kRefused:
        if (transfer.reply != 550) fail("not refused");
        return;
      case FtpDeed::kAborted:
        if (transfer.reply == 0) fail("no answer");
        return;
      case FtpDeed::kClientVanishes:
        return;
      default:
        if (transfer.reply < 400) fail("not said to have failed");
        return;
    }
  }

  World world_;
  Character character_;
  Config config_;
  SocketAddress server_;
  std::deque<FtpPlan> plans_;
  FtpResult result_;
};

FtpResult RunFtp(uint64_t seed, bool print) {
  FtpResult result;
  GatewayFixture::InFreshThread([&] { result = FtpSimulation(seed, print).Run(); });
  return result;
}

template <size_t kSize>
void Add(const std::array<uint64_t, kSize>& more, std::array<uint64_t, kSize>& sum) {
  for (size_t i = 0; i < kSize; ++i) sum[i] += more[i];
}

TEST(FtpSimulation, LosesAndMixesNoOctetAndIsReproducible) {
  const auto [first, count, trace] = SeedsToRun(kFullRun);
  FtpResult sum;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const FtpResult result = RunFtp(seed, trace >= 1);
    ASSERT_TRUE(result.failures.empty()) << Describe(seed, result.failures);
    const FtpResult again = RunFtp(seed, trace >= 2);
    ASSERT_EQ(result.trace_hash, again.trace_hash) << "seed " << seed << " is not reproducible";
    Add(result.arrived, sum.arrived);
    Add(result.cut, sum.cut);
    Add(result.whole, sum.whole);
    Add(result.reasons, sum.reasons);
  }
  for (size_t i = 0; i < sum.arrived.size(); ++i) {
    std::printf("  %-20s %6llu arrived, %6llu cut short\n", kFtpDeedNames[i],
                static_cast<unsigned long long>(sum.arrived[i]),
                static_cast<unsigned long long>(sum.cut[i]));
  }
  for (size_t i = 0; i < sum.reasons.size(); ++i) {
    if (sum.reasons[i] == 0) continue;
    std::printf("  %-24s %llu\n", std::string(kEndReasonLabels[i]).c_str(),
                static_cast<unsigned long long>(sum.reasons[i]));
  }
  if (count < kFullRun) return;
  for (const FtpDeed deed : {FtpDeed::kAborted, FtpDeed::kClientResets, FtpDeed::kClientTruncates,
                             FtpDeed::kServerResets, FtpDeed::kClientVanishes}) {
    EXPECT_GT(sum.cut[static_cast<size_t>(deed)], 0u) << kFtpDeedNames[static_cast<size_t>(deed)];
  }
  for (size_t i = 0; i < sum.whole.size(); ++i) EXPECT_GT(sum.whole[i], 0u) << "setup " << i;
  for (const EndReason reason : {EndReason::kDataDropped, EndReason::kDrainDeadline,
                                 EndReason::kStopped, EndReason::kClientTruncated}) {
    EXPECT_GT(sum.reasons[static_cast<size_t>(reason)], 0u) << Label(reason);
  }
}

}  // namespace
}  // namespace starling::sim
