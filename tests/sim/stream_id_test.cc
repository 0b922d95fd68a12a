// The ids of XMPP's streams cannot be foretold: neither from those of other streams nor
// from what servers are shown of a session.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kHeader =
    "<?xml version='1.0'?><stream:stream to='im.example.org' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>";

uint32_t IdOf(const std::string& greeting) {
  const size_t at = greeting.find(" id='");
  EXPECT_NE(at, std::string::npos) << greeting;
  return at == std::string::npos
             ? 0
             : static_cast<uint32_t>(std::stoul(greeting.substr(at + 5), nullptr, 16));
}

TEST(StreamIds, DoNotFollowFromOneAnother) {
  RunInThread([] {
    Case with{"xmpp",
              EndReason::kNone,
              "tcp",
              TlsMode::kStartTls,
              ClientKind::kIdle,
              BackendKind::kNormal,
              ServerKind::kUp,
              &ListenerLimits::idle_ms,
              kFar};
    with.row = FindProtocol("xmpp-client");
    OneSession session(with);
    std::vector<uint32_t> ids;
    for (int i = 0; i < 12; ++i) {
      PlainClient client(session);
      client.Say(kHeader);
      session.RunFor(milliseconds(3));
      ids.push_back(IdOf(client.Take()));
    }
    EXPECT_EQ(std::set<uint32_t>(ids.begin(), ids.end()).size(), ids.size());
    // One secret mixed with the number of each session would show in the differences: they
    // would be the same whatever the secret is.
    const auto mixed = [](uint64_t number) { return number * 0x9e3779b97f4a7c15u; };
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const uint64_t number = i + 1;  // of a worker's first session it is 1
      EXPECT_NE(ids[i] ^ ids[i + 1],
                static_cast<uint32_t>((mixed(number) ^ mixed(number + 1)) >> 32));
    }
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
