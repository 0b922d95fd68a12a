#include "protocols/telnet/telnet.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

const std::string kDemand = "\xff\xfd\x2e";
const std::string kWill = "\xff\xfb\x2e";
const std::string kFollows = "\xff\xfa\x2e\x01\xff\xf0";
const std::vector<Signal> kNotTaken = {Signal::kNotTaken};

DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                    std::vector<Signal> signals = {}, std::vector<Attack> attacks = {}) {
  return {std::move(name),    {std::move(sent)}, std::move(said), Verdict::kClose, reason, "",
          std::move(signals), std::move(attacks)};
}

TEST(Telnet, TheDemandAndNothingElse) {
  DialogueOptions options;
  DialogueDriver driver(CreateTelnet, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), kDemand);
}

TEST(Telnet, PointOfUpgrade) {
  const auto upgrade = [](std::string name, std::vector<std::string> sent, std::string left = "") {
    return DialogueCase{std::move(name),   std::move(sent),  kFollows,
                        Verdict::kUpgrade, EndReason::kNone, std::move(left)};
  };
  const auto no_upgrade = [](std::string name, std::string sent) {
    return DialogueCase{std::move(name), {std::move(sent)}};
  };
  RunCases(
      {
          upgrade("all at once", {kWill + kFollows}),
          upgrade("one after the other", {kWill, kFollows}),
          upgrade("WILL twice", {kWill + kWill + kFollows}),
          upgrade("other options before it", {"\xff\xfb\x18\xff\xfd\x03" + kWill + kFollows}),
          upgrade("another option's octets between",
                  {kWill + std::string("\xff\xfa\x18\0vt100\xff\xf0", 11) + kFollows}),
          upgrade("text that is a command behind it", {kWill + kFollows + "root\r\n"}, "root\r\n"),
          upgrade("a second segment behind it", {kWill + kFollows, "root\r\n"}, "root\r\n"),
          no_upgrade("WILL alone", kWill),
          no_upgrade("FOLLOWS alone", kFollows),
          no_upgrade("DO", "\xff\xfd\x2e" + kFollows),
          no_upgrade("WILL of another option", "\xff\xfb\x2d" + kFollows),
          no_upgrade("FOLLOWS cut short", kWill + kFollows.substr(0, 5)),
          no_upgrade("FOLLOWS with more", kWill + "\xff\xfa\x2e\x01\x01\xff\xf0"),
          no_upgrade("FOLLOWS with an escaped octet", kWill + "\xff\xfa\x2e\x01\xff\xff\xff\xf0"),
          no_upgrade("FOLLOWS with less", kWill + "\xff\xfa\x2e\xff\xf0"),
          no_upgrade("not FOLLOWS", kWill + "\xff\xfa\x2e\x02\xff\xf0"),
          no_upgrade("an escaped end in another's octets",
                     kWill + "\xff\xfa\x18\xff\xff\xf0\x2e\x01\xff\xf0"),
      },
      CreateTelnet, {});
}

TEST(Telnet, TextIsDropped) {
  const auto dropped = [](std::string name, std::string sent) {
    return DialogueCase{std::move(name),    {std::move(sent)}, "",
                        Verdict::kContinue, EndReason::kNone,  "",
                        kNotTaken};
  };
  RunCases(
      {
          dropped("a line", "root\r\n"),
          dropped("NUL and 8-bit octets", std::string("\0\xc3\xa4\r\0", 5)),
          dropped("an escaped 0xff", "\xff\xff"),
          dropped("FOLLOWS escaped is text", kWill + "\xff\xff\xfa\x2e\x01"),
          {"before an upgrade",
           {"root\r\n" + kWill + kFollows},
           kFollows,
           Verdict::kUpgrade,
           EndReason::kNone,
           "",
           kNotTaken},
          {"commands without an option", {"\xff\xf1\xff\xf6\xff\xf9"}},
      },
      CreateTelnet, {});
}

TEST(Telnet, WhoWillNot) {
  RunCases(
      {
          Closed("WONT", "\xff\xfc\x2e", "\r\nTLS is required here (the option START_TLS)\r\n",
                 EndReason::kTlsRequired, kNotTaken),
          Closed("WILL, then WONT", kWill + "\xff\xfc\x2e",
                 "\r\nTLS is required here (the option START_TLS)\r\n", EndReason::kTlsRequired,
                 kNotTaken),
          {"DONT, which is of the other side's option", {"\xff\xfe\x2e"}},
      },
      CreateTelnet, {});
}

TEST(Telnet, Strangers) {
  const std::string http = "\r\nAnother protocol is spoken here\r\n";
  const std::vector<Attack> cross = {Attack::kCrossProtocol};
  const std::vector<Attack> tls = {Attack::kTlsOnPlainPort};
  RunCases(
      {
          Closed("POST", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", http, EndReason::kCrossProtocol,
                 kNotTaken, cross),
          Closed("GET, short", "GET /\n", http, EndReason::kCrossProtocol, kNotTaken, cross),
          {"GET of nothing",
           {"GET\r\nGET / HTTP/1.0\r\n"},
           "",
           Verdict::kContinue,
           EndReason::kNone,
           "",
           kNotTaken},
          Closed("TLS", "\x16\x03\x01", "", EndReason::kTlsOnPlainPort, {}, tls),
          Closed("an SSLv2 hello", "\x80\x2e\x01", "", EndReason::kTlsOnPlainPort, {}, tls),
          Closed("a broken subnegotiation", "\xff\xfa\x18\xff\xfb",
                 "\r\nMalformed subnegotiation\r\n", EndReason::kBadOctet, {}, {Attack::kBadOctet}),
      },
      CreateTelnet, {});
}

TEST(Telnet, Storms) {
  std::string most;
  for (int i = 0; i < 64; ++i) most += "\xff\xfb\x18";
  const std::string too_many = "\r\nToo many options without TLS\r\n";
  const std::string too_much = "\r\nToo much without TLS\r\n";
  RunCases(
      {
          {"64 options", {most}},
          Closed("65 options", most + "\xff\xfb\x18", too_many, EndReason::kTooManyErrors),
          Closed("65 commands", most + "\xff\xf1", too_many, EndReason::kTooManyErrors),
          {"4,096 octets", {"\xff\xfa\x18" + std::string(4093, 'x')}},
          Closed("a subnegotiation without end", "\xff\xfa\x18" + std::string(4094, 'x'), too_much,
                 EndReason::kTooManyErrors),
          Closed("text without end", std::string(4097, 'x'), too_much, EndReason::kTooManyErrors,
                 kNotTaken),
      },
      CreateTelnet, {});
}

TEST(Telnet, NothingIsSaidOnTheFreshLeg) {
  DialogueOptions options;
  DialogueDriver driver(CreateTelnet, options);
  driver.Raise(EventKind::kStart);
  driver.Client(kWill + kFollows);
  ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
  driver.TakeToClient();
  driver.Raise(EventKind::kUpgraded);
  driver.Client("inside");
  EXPECT_EQ(driver.verdict(), Verdict::kHold);
  driver.Raise(EventKind::kLegUp, /*inside_tls=*/true);
  EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  EXPECT_EQ(driver.client_left(), "inside");
  EXPECT_EQ(driver.TakeToClient(), "");
}

TEST(Telnet, ABackendBeforeItsTime) {
  DialogueOptions options;
  DialogueDriver driver(CreateTelnet, options);
  driver.Raise(EventKind::kStart);
  driver.TakeToClient();
  driver.BackendWithoutLeg("login: ");
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
  EXPECT_EQ(driver.reason(), EndReason::kBackendProtocol);
  EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
  EXPECT_EQ(driver.TakeToClient(), "\r\nServer not available, try again later\r\n");
}

// A terminal that does not answer what was demanded shows its user nothing at all.
TEST(Telnet, PatienceIsShortWithWhoIgnoresTheDemand) {
  const std::string will_naws = "\xff\xfb\x1f";
  const struct {
    std::string said;
    Patience patience;
  } table[] = {
      {"", Patience::kUsual},
      {"\r\n", Patience::kShort},
      {will_naws, Patience::kShort},
      {kWill, Patience::kUsual},
      {will_naws + kWill, Patience::kUsual},
      {kWill + will_naws, Patience::kUsual},
  };
  for (const auto& row : table) {
    DialogueOptions options;
    DialogueDriver driver(CreateTelnet, options);
    driver.Raise(EventKind::kStart);
    driver.Client(row.said, 1);
    EXPECT_EQ(driver.patience(), row.patience) << row.said;
    driver.TakeToClient();
    if (row.patience == Patience::kUsual) continue;
    driver.Raise(EventKind::kPatienceOver);
    EXPECT_EQ(driver.TakeToClient(), "\r\nTLS is required here (the option START_TLS)\r\n");
    EXPECT_EQ(Label(driver.reason()), Label(EndReason::kTlsRequired));
  }
}

TEST(Telnet, OfferThenClose) {
  for (const bool answered : {false, true}) {
    DialogueOptions options;
    DialogueDriver driver(CreateTelnet, options);
    driver.Raise(EventKind::kStart);
    if (answered) driver.Client(kWill);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), !answered);
  }
}

}  // namespace
}  // namespace starling
