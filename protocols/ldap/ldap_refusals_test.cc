// What the gateway refuses in LDAP before TLS: critical controls, log-ins, malformed and
// long messages, other protocols. ldap_test.cc has the way to TLS.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/ldap/ldap_testing.h"

namespace starling {
namespace {

// RFC 4511 4.1.11: an operation must not be done without its critical controls. The gateway
// must not tell clients that a control is unknown if servers may know it.
TEST(LdapRefusals, CriticalControls) {
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

TEST(LdapRefusals, NoLogInInPlaintext) {
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

TEST(LdapRefusals, MalformedMessages) {
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

TEST(LdapRefusals, LongMessages) {
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

TEST(LdapRefusals, Strangers) {
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

TEST(LdapRefusals, TooManyRequests) {
  DialogueOptions options;
  options.max_commands = 2;
  const std::string abandon = Message(Hex("50 01 01"));
  RunCases({{"two", {abandon + abandon}},
            Closed("three", abandon + abandon + kStartTls,
                   Notice(13, "Too many requests without TLS"), EndReason::kTooManyErrors, {})},
           CreateLdap, options);
}

}  // namespace
}  // namespace starling
