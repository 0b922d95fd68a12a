// Tests which probe each backend gets.
#include <vector>

#include "gateway/upstream/prober_testing.h"

namespace starling {
namespace {

struct Wanted {
  const ProtocolRow* row;
  TlsMode tls;
  Policy policy;
  uint32_t backend;
  int32_t plaintext;
  const char* hostname;
};

std::vector<ProbePlan> PlansOf(const std::vector<Wanted>& listeners) {
  Config config;
  for (const Wanted& wanted : listeners) {
    ListenerConfig listener;
    listener.protocol = wanted.row;
    listener.tls = wanted.tls;
    listener.dialogue.policy = wanted.policy;
    listener.dialogue.hostname = wanted.hostname;
    listener.backend = wanted.backend;
    listener.plaintext_backend = wanted.plaintext;
    config.listeners.push_back(listener);
  }
  config.backends.resize(8);
  return PlanProbes(config);
}

TEST(ProbePlans, ByWhatTheListenersNeed) {
  constexpr Policy kAny = Policy::kOpportunistic, kRequire = Policy::kRequire;
  const std::vector<ProbePlan> plans =
      PlansOf({{&kGreets, TlsMode::kImplicit, kRequire, 0, -1, "first"},
               {&kGreets, TlsMode::kStartTls, kAny, 0, 1, "second"},
               {&kGreets, TlsMode::kStartTls, kRequire, 2, -1, "third"},
               {&kSilent, TlsMode::kImplicit, kRequire, 4, -1, "fourth"},
               {&kAlwaysAsked, TlsMode::kStartTls, kRequire, 6, -1, "fifth"},
               {&kAlwaysAsked, TlsMode::kImplicit, kRequire, 7, -1, "sixth"}});
  ASSERT_EQ(plans.size(), 8u);
  EXPECT_TRUE(plans[0].ask);
  EXPECT_EQ(plans[0].options.hostname, "second");
  EXPECT_TRUE(plans[1].ask);
  EXPECT_FALSE(plans[2].ask);
  EXPECT_EQ(plans[2].protocol, &kGreets);
  EXPECT_EQ(plans[4].protocol, &kSilent);
  EXPECT_EQ(plans[5].protocol, nullptr);
  EXPECT_FALSE(plans[5].must_speak);
  EXPECT_TRUE(plans[6].ask);
  EXPECT_FALSE(plans[7].ask);
}

// What a probe of these protocols together is, whichever listener comes first.
void ExpectOfBoth(const ProtocolRow& one, const ProtocolRow& other, const ProtocolRow* spoken,
                  bool must_speak) {
  for (const auto& [first, second] : {std::pair(&one, &other), std::pair(&other, &one)}) {
    const ProbePlan plan = PlansOf({{first, TlsMode::kStartTls, Policy::kRequire, 0, -1, ""},
                                    {second, TlsMode::kImplicit, Policy::kRequire, 0, -1, ""},
                                    {first, TlsMode::kStartTls, Policy::kOpportunistic, 0, -1, ""}})
                               .front();
    EXPECT_EQ(plan.protocol, spoken);
    EXPECT_EQ(plan.must_speak, must_speak);
    EXPECT_EQ(plan.ask, spoken == first && first->create_probe != nullptr);
  }
}

TEST(ProbePlans, OfSeveralProtocolsTheOneThatFindsOutMost) {
  ProtocolRow also_asked = kAsked;
  ExpectOfBoth(kGreets, kSilent, &kGreets, false);
  ExpectOfBoth(kGreets, kAsked, &kGreets, false);
  ExpectOfBoth(kAsked, kSilent, &kAsked, false);
  ExpectOfBoth(kGreets, kAlwaysAsked, nullptr, true);
  ExpectOfBoth(kAsked, also_asked, nullptr, false);
}

}  // namespace
}  // namespace starling
