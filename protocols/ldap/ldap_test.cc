#include "protocols/ldap/ldap.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

const std::string kOid = "1.3.6.1.4.1.1466.20037";

// Octets written as "30 0c", or without spaces.
std::string Hex(std::string_view text) {
  std::string octets;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
    if (digits.size() < 2) continue;
    octets += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  return octets;
}

// An element with a content of up to 65,535 octets. `long_form`: with the form in which
// some clients write every length.
std::string Ber(uint8_t tag, const std::string& content, bool long_form = false) {
  const size_t n = content.size();
  std::string head(1, static_cast<char>(tag));
  if (long_form) {
    head += Hex("84 00 00");
  } else if (n > 0x7f) {
    head += Hex("82");
  }
  if (long_form || n > 0x7f) head += static_cast<char>(n >> 8);
  return head + static_cast<char>(n & 0xff) + content;
}

std::string Message(const std::string& operation, const std::string& id = Hex("01")) {
  return Ber(0x30, Ber(0x02, id) + operation);
}

std::string Result(uint8_t tag, uint8_t code, const std::string& text,
                   const std::string& id = Hex("01")) {
  return Message(Ber(tag, Hex("0a 01") + static_cast<char>(code) + Hex("04 00") + Ber(0x04, text)),
                 id);
}

std::string Notice(uint8_t code, const std::string& text) {
  return Message(Ber(0x78, Hex("0a 01") + static_cast<char>(code) + Hex("04 00") + Ber(0x04, text) +
                               Ber(0x8a, "1.3.6.1.4.1.1466.20036")),
                 Hex("00"));
}

std::string Bind(const std::string& name, const std::string& password) {
  return Ber(0x60, Hex("02 01 03") + Ber(0x04, name) + Ber(0x80, password));
}

const std::string kStartTls = Message(Ber(0x77, Ber(0x80, kOid)));
const std::string kSuccess = Hex("30 0c 02 01 01 78 07 0a 01 00 04 00 04 00");
const std::string kUnbind = Message(Hex("42 00"), Hex("02"));
const std::string kUseTls = "TLS required, use StartTLS";
const std::string kSearch =
    Ber(0x63, Hex("04 00 0a 01 00 0a 01 00 02 01 00 02 01 00 01 01 00") + Ber(0x87, "objectClass") +
                  Ber(0x30, Ber(0x04, "supportedExtension")));

DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                    std::vector<Attack> attacks) {
  return {std::move(name),   {std::move(sent)}, std::move(said), Verdict::kClose, reason, "", {},
          std::move(attacks)};
}

// RFC 4511 4.1.11: an operation must not be done without its critical controls. The gateway
// must not tell clients that a control is unknown if servers may know it.
TEST(Ldap, CriticalControls) {
  const auto control = [](const std::string& oid, const std::string& boolean) {
    return Ber(0x30, Ber(0x04, oid) + (boolean.empty() ? "" : Hex("01 01" + boolean)));
  };
  const std::string manage = "2.16.840.1.113730.3.4.2", paged = "1.2.840.113556.1.4.319";
  const std::string start = Ber(0x77, Ber(0x80, kOid));
  const std::string text = "A critical control is not available before TLS";
  struct Row {
    std::string name, controls;
    bool upgrade;       // StartTLS succeeds
    uint8_t of_search;  // the result of a search
  };
  const Row rows[] = {
      {"none", "", true, 13},
      {"unknown", control("1.2.3", ""), true, 13},
      {"unknown, not critical", control("1.2.3", "00"), true, 13},
      {"unknown, critical", control("1.2.3", "ff"), false, 12},
      {"unknown, critical by another octet", control("1.2.3", "01"), false, 12},
      {"ManageDsaIT, critical", control(manage, "ff"), true, 13},
      {"paged results", control(paged, ""), true, 13},
      {"paged results, critical", control(paged, "ff"), false, 13},
      {"both, the known one first", control(manage, "ff") + control("1.2.3", "ff"), false, 12},
      {"both, the known one last", control("1.2.3", "ff") + control(paged, "ff"), false, 12},
      {"beside a harmless one", control("1.2.3", "00") + control(manage, "ff"), true, 13},
      {"no name", control("", "ff"), false, 12},
  };
  for (const Row& row : rows) {
    const std::string controls = row.controls.empty() ? "" : Ber(0xa0, row.controls);
    RunCases({{row.name + ", StartTLS",
               {Message(start + controls)},
               row.upgrade ? kSuccess : Result(0x78, 12, text),
               row.upgrade ? Verdict::kUpgrade : Verdict::kContinue},
              {row.name + ", a search, and StartTLS after it",
               {Message(kSearch + controls) + kStartTls},
               Result(0x65, row.of_search, row.of_search == 12 ? text : kUseTls) + kSuccess,
               Verdict::kUpgrade},
              {row.name + ", a log-in",
               {Message(Bind("cn=a", "secret") + controls)},
               Result(0x61, row.of_search, row.of_search == 12 ? text : kUseTls),
               Verdict::kContinue,
               EndReason::kNone,
               "",
               {},
               {Attack::kPlaintextAuth}},
              // These have no response, and the criticality of their controls is ignored.
              {row.name + ", Abandon and Unbind",
               {Message(Hex("50 01 01") + controls) + Message(Hex("42 00") + controls)},
               "",
               Verdict::kClose,
               EndReason::kGoodbye}},
             CreateLdap, DialogueOptions());
  }
}

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

TEST(Ldap, NoLogInInPlaintext) {
  const std::string refused = Result(0x61, 13, kUseTls);
  const std::string sasl =
      Ber(0x60, Hex("02 01 03 04 00") + Ber(0xa3, Ber(0x04, "PLAIN") + Ber(0x04, "x")));
  const auto bind = [&](std::string name, std::string operation, std::vector<Attack> attacks) {
    return DialogueCase{std::move(name),
                        {Message(operation)},
                        refused,
                        Verdict::kContinue,
                        EndReason::kNone,
                        "",
                        {},
                        std::move(attacks)};
  };
  RunCases(
      {
          bind("anonymous", Bind("", ""), {}),
          bind("with a password", Bind("cn=admin", "secret"), {Attack::kPlaintextAuth}),
          bind("with a name alone", Bind("cn=admin", ""), {Attack::kPlaintextAuth}),
          bind("by SASL", sasl, {Attack::kPlaintextAuth}),
          {"in spite of the offer",
           {Message(kSearch), Message(Bind("cn=admin", "secret")), Message(Bind("cn=a", "b"))},
           Result(0x65, 13, kUseTls) + refused + refused,
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kNotTaken},
           {Attack::kPlaintextAuth}},
      },
      CreateLdap, {});
}

TEST(Ldap, MalformedMessages) {
  const auto malformed = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), Notice(2, "Malformed message"),
                  EndReason::kBadOctet, {Attack::kBadOctet});
  };
  const std::string extended = Ber(0x77, Ber(0x80, kOid));
  RunCases(
      {
          malformed("no sequence", Hex("31 0c")),
          malformed("NUL", Hex("00")),
          malformed("8-bit octets", "\xc3\xa4\xc3\xb6"),
          malformed("a line end", "\r\n"),
          malformed("indefinite length", Hex("30 80 02 01 01") + extended + Hex("00 00")),
          malformed("indefinite length of the request",
                    Message(Hex("77 80") + Ber(0x80, kOid) + Hex("00 00"))),
          malformed("length of five octets", Hex("30 85 00 00 00 00 0c")),
          malformed("nothing", Hex("30 00")),
          malformed("an id alone", Hex("30 03 02 01 01")),
          malformed("id 0", Message(extended, Hex("00"))),
          malformed("a negative id", Message(extended, Hex("ff"))),
          malformed("an id beyond 2^31-1", Message(extended, Hex("00 80 00 00 00"))),
          malformed("an id of five octets", Message(extended, Hex("00 00 00 00 01"))),
          malformed("an id without octets", Message(extended, "")),
          malformed("an id of another type", Ber(0x30, Ber(0x04, "1") + extended)),
          malformed("a request longer than its message",
                    Ber(0x30, Hex("02 01 01 77 19") + Ber(0x80, kOid))),
          malformed("no name", Message(Hex("77 00"))),
          malformed("a name longer than its request", Message(Hex("77 02 80 22") + kOid)),
          malformed("octets behind the name", Message(Ber(0x77, Ber(0x80, kOid) + Hex("81")))),
          malformed("octets behind the request", Message(extended + Hex("a0"))),
          malformed("controls of another type", Message(extended + Hex("a0 02 04 00"))),
          malformed("a control without a name", Message(extended + Hex("a0 02 30 00"))),
          malformed("a control with an empty boolean",
                    Message(extended + Hex("a0 07 30 05 04 01 78 01 00"))),
          malformed("a response", Message(Hex("78 07 0a 01 00 04 00 04 00"))),
          malformed("a tag of two octets", Message(Hex("7f 77 00"))),
          malformed("a bind without version", Message(Ber(0x60, Hex("04 00 80 00")))),
          malformed("a bind without name", Message(Ber(0x60, Hex("02 01 03")))),
          malformed("a bind without a way", Message(Ber(0x60, Hex("02 01 03 04 00")))),
          malformed("behind a good one", Message(Hex("50 01 01")) + Hex("04 00")),
      },
      CreateLdap, {});
}

TEST(Ldap, LongMessages) {
  const auto add = [](size_t content) { return Message(Ber(0x68, std::string(content, 'x'))); };
  // 4 octets of the message's head, 3 of the id, 4 of the request's head.
  ASSERT_EQ(add(8181).size(), 8192u);
  RunCases(
      {
          {"at the limit", {add(8181)}, Result(0x69, 13, kUseTls)},
          Closed("over the limit", add(8182), Notice(2, "Message too long"),
                 EndReason::kLineTooLong, {Attack::kOverlongLine}),
          Closed("its length alone", Hex("30 84 7f ff ff ff"), Notice(2, "Message too long"),
                 EndReason::kLineTooLong, {Attack::kOverlongLine}),
          Closed("the longest that can be written", Hex("30 84 ff ff ff ff"),
                 Notice(2, "Message too long"), EndReason::kLineTooLong, {Attack::kOverlongLine}),
      },
      CreateLdap, {});
}

TEST(Ldap, Strangers) {
  const auto cross = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), "", EndReason::kCrossProtocol,
                  {Attack::kCrossProtocol});
  };
  RunCases(
      {
          cross("HTTP", "POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
          cross("mail", "EHLO client.example.net\r\n"),
          cross("lower case", "a"),
          Closed("TLS", Hex("16 03 01 02 00"), "", EndReason::kTlsOnPlainPort,
                 {Attack::kTlsOnPlainPort}),
          Closed("an SSLv2 hello", Hex("80 2e 01"), "", EndReason::kTlsOnPlainPort,
                 {Attack::kTlsOnPlainPort}),
          Closed("TLS behind a message", Message(Hex("50 01 01")) + Hex("16 03 01"), "",
                 EndReason::kTlsOnPlainPort, {Attack::kTlsOnPlainPort}),
          {"a damaged name of the request",
           {Message(Ber(0x77, Ber(0x80, "1.3.6.1.4.1.1466.20X37")))},
           Result(0x78, 13, kUseTls),
           Verdict::kContinue,
           EndReason::kNone,
           "",
           {Signal::kMangledCommand}},
      },
      CreateLdap, {});
}

TEST(Ldap, TooManyRequests) {
  DialogueOptions options;
  options.max_commands = 2;
  const std::string abandon = Message(Hex("50 01 01"));
  RunCases({{"two", {abandon + abandon}},
            Closed("three", abandon + abandon + kStartTls,
                   Notice(13, "Too many requests without TLS"), EndReason::kTooManyErrors, {})},
           CreateLdap, options);
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
