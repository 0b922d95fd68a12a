// Tests how long the gateway waits, in simulated time, for a client that itself waits for an
// answer that never comes before TLS. Not for: the other times before a relay
// (pre_relay_test.cc).
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "protocols/registry.h"
#include "tests/sim/one_session.h"

namespace starling::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kUser = "NICK demo\r\nUSER demo 0 * :Demo\r\n";

TEST(Patience, IsShortWithAClientThatWaitsForAWelcome) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("irc");
    OneSession session(StartTlsCase("patience", "irc", limits));
    PlainClient client(session);
    client.Say(kUser);
    session.RunFor(milliseconds(9'990));
    client.Take();
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(kSlack);
    EXPECT_EQ(client.Take(),
              "ERROR :TLS required: send STARTTLS, or connect with TLS from the start\r\n");
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kTlsRequired), 1);
    session.Finish();
  });
}

TEST(Patience, BeginsAnewWithEachCommandAndNotWithEachOctet) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("irc");
    OneSession session(StartTlsCase("patience", "irc", limits));
    PlainClient client(session);
    client.Say(kUser);
    session.RunFor(seconds(9));
    client.Say("PING x\r\n");
    session.RunFor(seconds(9));
    client.Say("STARTT");
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(milliseconds(990));
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(seconds(3));
    EXPECT_EQ(session.ended_for(EndReason::kTlsRequired), 1);
    session.Finish();
  });
}

TEST(Patience, IsUsualWhileCapabilitiesAreNegotiated) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("irc");
    OneSession session(StartTlsCase("patience", "irc", limits));
    PlainClient client(session);
    client.Say("CAP LS 302\r\n" + std::string(kUser));
    session.RunFor(seconds(59));
    EXPECT_EQ(session.ended(), 0);
    client.Say("CAP END\r\n");
    session.RunFor(seconds(9));
    EXPECT_EQ(session.ended(), 0);
    session.RunFor(seconds(4));
    EXPECT_EQ(session.ended_for(EndReason::kTlsRequired), 1);
    session.Finish();
  });
}

// A client that upgrades in time is past this limit.
TEST(Patience, EndsWithTheUpgrade) {
  RunInThread([] {
    const ListenerLimits limits = DefaultsOf("irc");
    OneSession session(StartTlsCase("patience", "irc", limits));
    PlainClient client(session);
    client.Say(kUser);
    session.RunFor(seconds(9));
    client.Say("STARTTLS\r\n");
    session.RunFor(seconds(14));
    EXPECT_EQ(session.ended(), 0) << Label(session.reason());
    session.RunFor(seconds(2));
    EXPECT_EQ(session.ended_for(EndReason::kHandshakeDeadline), 1);
    session.Finish();
  });
}

}  // namespace
}  // namespace starling::sim
