// LDAP up to TLS: StartTLS, the response to every request, and the session's end.
// ldap_refusals_test.cc has what the gateway refuses.
#include "protocols/ldap/ldap.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ldap/ldap_testing.h"

namespace starling {
namespace {

TEST(Ldap, TheClientSpeaksFirst) {
  DialogueOptions options;
  DialogueDriver driver(CreateLdap, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "");
  EXPECT_EQ(driver.verdict(), Verdict::kContinue);
}

TEST(Ldap, PointOfUpgrade) {
  const std::string controls = Ber(0xa0, Ber(0x30, Ber(0x04, "2.16.840.1.113730.3.4.2")));
  const std::string critical =
      Ber(0xa0, Ber(0x30, Ber(0x04, "2.16.840.1.113730.3.4.2") + Hex("01 01 ff")));
  const std::string unknown =
      Ber(0xa0, Ber(0x30, Ber(0x04, "1.2.3") + Hex("01 01 00") + Ber(0x04, std::string(3, '\0'))));
  const std::string name = Ber(0x80, kOid);
  const std::string long_form =
      Ber(0x30, Ber(0x02, Hex("01"), true) + Ber(0x77, Ber(0x80, kOid, true), true), true);
  const auto upgrade = [](std::string name, std::string sent, std::string said = kSuccess) {
    return DialogueCase{std::move(name), {std::move(sent)}, std::move(said), Verdict::kUpgrade};
  };
  RunCases(
      {
          upgrade("alone", kStartTls),
          upgrade("lengths in the long form", long_form),
          upgrade("a control", Message(Ber(0x77, name) + controls)),
          upgrade("a critical control", Message(Ber(0x77, name) + critical)),
          upgrade("an unknown control", Message(Ber(0x77, name) + unknown)),
          upgrade("no control", Message(Ber(0x77, name) + Hex("a0 00"))),
          upgrade("parts that are not known yet",
                  Message(Ber(0x77, name + Hex("82 01 00")) + Hex("a1 00"))),
          upgrade("id 127", Message(Ber(0x77, name), Hex("7f")),
                  Hex("30 0c 02 01 7f 78 07 0a 01 00 04 00 04 00")),
          upgrade("id 178", Message(Ber(0x77, name), Hex("00 b2")),
                  Hex("30 0d 02 02 00 b2 78 07 0a 01 00 04 00 04 00")),
          upgrade("the highest id", Message(Ber(0x77, name), Hex("7f ff ff ff")),
                  Hex("30 0f 02 04 7f ff ff ff 78 07 0a 01 00 04 00 04 00")),
          upgrade("an id longer than it need be", Message(Ber(0x77, name), Hex("00 00 00 01"))),
          upgrade("after a search", Message(kSearch) + kStartTls,
                  Result(0x65, 13, kUseTls) + kSuccess),
          {"a bind behind it",
           {kStartTls + Message(Bind("cn=a", "injected"))},
           kSuccess,
           Verdict::kUpgrade,
           EndReason::kNone,
           Message(Bind("cn=a", "injected"))},
          {"a second segment behind it",
           {kStartTls, kUnbind},
           kSuccess,
           Verdict::kUpgrade,
           EndReason::kNone,
           kUnbind},
          {"an octet less",
           {kStartTls.substr(0, 30)},
           "",
           Verdict::kContinue,
           EndReason::kNone,
           kStartTls.substr(0, 30)},
          {"a value",
           {Message(Ber(0x77, name + Hex("81 01 78")))},
           Result(0x78, 2, "StartTLS takes no value")},
          {"an empty value",
           {Message(Ber(0x77, name + Hex("81 00")))},
           Result(0x78, 2, "StartTLS takes no value")},
      },
      CreateLdap, {});
}

TEST(Ldap, EveryRequestHasItsResponse) {
  struct Row {
    uint8_t request, response;
  };
  for (const Row& row : {Row{0x63, 0x65}, Row{0x66, 0x67}, Row{0x68, 0x69}, Row{0x4a, 0x6b},
                         Row{0x6c, 0x6d}, Row{0x6e, 0x6f}}) {
    RunCases({{"a request",
               {Message(Ber(row.request, "whatever"), Hex("12 34"))},
               Result(row.response, 13, kUseTls, Hex("12 34"))}},
             CreateLdap, {});
  }
  RunCases(
      {
          {"another extended request",
           {Message(Ber(0x77, Ber(0x80, "1.3.6.1.4.1.4203.1.11.3")))},
           Result(0x78, 13, kUseTls)},
          {"abandon has none", {Message(Hex("50 01 01"))}, ""},
          {"unbind has none", {kUnbind + kStartTls}, "", Verdict::kClose, EndReason::kGoodbye},
      },
      CreateLdap, {});
}

// The answers exceed the room. None may be lost or cut.
TEST(Ldap, ManyAtOnce) {
  std::string sent, said;
  for (int i = 1; i <= 60; ++i) {
    const std::string id(1, static_cast<char>(i));
    sent += Message(kSearch, id);
    said += Result(0x65, 13, kUseTls, id);
  }
  RunCases({{"60 searches", {sent}, said}}, CreateLdap, {});
}

TEST(Ldap, NothingIsSaidOnTheFreshLeg) {
  DialogueOptions options;
  DialogueDriver driver(CreateLdap, options);
  driver.Raise(EventKind::kStart);
  driver.Client(kStartTls);
  ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
  EXPECT_EQ(driver.TakeToClient(), kSuccess);
  driver.Raise(EventKind::kUpgraded);
  driver.Client(kUnbind);
  EXPECT_EQ(driver.verdict(), Verdict::kHold);
  driver.Raise(EventKind::kLegUp, /*inside_tls=*/true);
  EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  EXPECT_EQ(driver.client_left(), kUnbind);
  EXPECT_EQ(driver.TakeToClient(), "");
}

TEST(Ldap, ABackendBeforeItsTime) {
  DialogueOptions options;
  DialogueDriver driver(CreateLdap, options);
  driver.Raise(EventKind::kStart);
  driver.BackendWithoutLeg(kSuccess);
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
  EXPECT_EQ(driver.reason(), EndReason::kBackendProtocol);
  EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
  EXPECT_EQ(driver.TakeToClient(), Notice(52, "Server not available, try again later"));
}

TEST(Ldap, EventsEndTheSessionInItsWords) {
  RunEndWords({.down = Notice(52, "Server not available, try again later"),
               .late = Notice(52, "No command received in time"),
               .stop = Notice(52, "Server shutting down")},
              kStartTls, CreateLdap, {}, /*leg=*/false);
}

TEST(Ldap, OfferThenClose) {
  struct Case {
    std::string sent;
    bool signal;
  };
  // Result 13 is the offer. Messages after it do not end the session.
  for (const Case& c : {Case{"", false}, Case{Message(kSearch), true},
                        Case{Message(kSearch) + Message(Hex("50 01 01")), false}}) {
    DialogueOptions options;
    DialogueDriver driver(CreateLdap, options);
    driver.Raise(EventKind::kStart);
    driver.Client(c.sent);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), c.signal);
  }
}

TEST(Ldap, RefusalsOutsideOfADialogue) {
  const auto said = [](Refusal refusal) {
    std::vector<uint8_t> memory(kMinOutputRoom);
    Writer out(memory);
    RefuseLdap(refusal, {}, out);
    return std::string(AsText(out.written()));
  };
  EXPECT_EQ(said(Refusal::kTooBusy), Notice(52, "Too many connections, try again later"));
  EXPECT_EQ(said(Refusal::kTlsExpected), Notice(13, "TLS is spoken here from the first octet"));
}

}  // namespace
}  // namespace starling
