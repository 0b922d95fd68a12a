#include "protocols/postgresql/postgresql.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

constexpr uint32_t kSsl = 80877103, kGssEnc = 80877104, kCancel = 80877102;
constexpr uint32_t kVersion3 = 3 << 16;

std::string Number(uint32_t value) {
  std::string octets;
  for (int shift = 24; shift >= 0; shift -= 8) octets += static_cast<char>(value >> shift & 0xff);
  return octets;
}

// A request as clients write it. Its length is right unless a test sets another.
std::string Request(uint32_t code, const std::string& content = "") {
  return Number(static_cast<uint32_t>(8 + content.size())) + Number(code) + content;
}
std::string Request(uint32_t code, uint32_t length) { return Number(length) + Number(code); }

std::string Error(std::string_view state, std::string_view text) {
  std::string fields;
  for (const std::string_view field : {std::string_view("SFATAL"), std::string_view("VFATAL")}) {
    fields += std::string(field) + '\0';
  }
  fields += "C" + std::string(state) + '\0' + "M" + std::string(text) + '\0' + '\0';
  return "E" + Number(static_cast<uint32_t>(4 + fields.size())) + fields;
}

const std::string kSslRequest = Request(kSsl);
const std::string kGssRequest = Request(kGssEnc);
const std::string kCancelRequest = Request(kCancel, Number(4711) + "key!");
const std::string kStartUp = Request(kVersion3, std::string("user\0alice\0\0", 12));
const std::string kTlsRequired =
    Error("28000", "TLS is required: set sslmode to require or verify-full");
const std::string kBadLength = Error("08P01", "invalid length of startup packet");
const std::string kUnsupported = Error("0A000", "unsupported frontend protocol");
const std::string kOldError(
    "EFATAL:  this version of the protocol is not supported; TLS is required\n\0", 73);

DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                    std::vector<Attack> attacks, std::vector<Signal> signals = {}) {
  return {std::move(name),    {std::move(sent)}, std::move(said), Verdict::kClose, reason, "",
          std::move(signals), std::move(attacks)};
}

TEST(Postgresql, TheClientSpeaksFirst) {
  DialogueOptions options;
  DialogueDriver driver(CreatePostgresql, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "");
  EXPECT_EQ(driver.verdict(), Verdict::kContinue);
}

TEST(Postgresql, PointOfUpgrade) {
  const auto upgrade = [](std::string name, std::vector<std::string> sent, std::string said,
                          std::string left = "") {
    return DialogueCase{std::move(name),   std::move(sent),  std::move(said),
                        Verdict::kUpgrade, EndReason::kNone, std::move(left)};
  };
  RunCases(
      {
          upgrade("alone", {kSslRequest}, "S"),
          upgrade("after GSSAPI was declined", {kGssRequest, kSslRequest}, "NS"),
          upgrade("both at once", {kGssRequest + kSslRequest}, "NS"),
          upgrade("a start-up message behind it", {kSslRequest + kStartUp}, "S", kStartUp),
          upgrade("a second segment behind it", {kSslRequest, "\x16"}, "S", "\x16"),
          upgrade("a request to cancel behind it", {kSslRequest + kCancelRequest}, "S",
                  kCancelRequest),
          {"an octet less",
           {kSslRequest.substr(0, 7)},
           "",
           Verdict::kContinue,
           EndReason::kNone,
           kSslRequest.substr(0, 7)},
          {"GSSAPI is declined", {kGssRequest}, "N"},
      },
      CreatePostgresql, {});
}

TEST(Postgresql, NoLogInInPlaintext) {
  const auto refused = [](std::string name, std::string sent, std::string said) {
    return Closed(std::move(name), std::move(sent), std::move(said), EndReason::kTlsRequired,
                  {Attack::kPlaintextAuth});
  };
  RunCases(
      {
          refused("version 3.0", kStartUp, kTlsRequired),
          refused("its head alone", kStartUp.substr(0, 8), kTlsRequired),
          refused("version 3.2", Request(kVersion3 + 2, "user"), kTlsRequired),
          refused("after GSSAPI was declined", kGssRequest + kStartUp, "N" + kTlsRequired),
          refused("version 2.0", Request(2 << 16, std::string(288, '\0')), kOldError),
          refused("version 1.0", Request(1 << 16), kOldError),
      },
      CreatePostgresql, {});
}

TEST(Postgresql, MalformedRequests) {
  const auto bad = [](std::string name, std::string sent, std::string said,
                      std::vector<Signal> signals = {}) {
    return Closed(std::move(name), std::move(sent), std::move(said), EndReason::kBadOctet,
                  {Attack::kBadOctet}, std::move(signals));
  };
  const auto too_long = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), kBadLength, EndReason::kLineTooLong,
                  {Attack::kOverlongLine});
  };
  RunCases(
      {
          bad("a length of 0", Number(0), kBadLength),
          bad("a length of 4", Number(4), kBadLength),
          bad("a length of 7", Number(7) + "abc", kBadLength),
          too_long("a length of 10,001", Number(10'001)),
          too_long("the longest length", Number(0xffffffff)),
          too_long("8-bit octets", "\xc3\xa4\xc3\xb6"),
          too_long("line ends", "\r\n\r\n"),
          bad("SSLRequest longer than it may be", Request(kSsl, 12u), kBadLength),
          bad("GSSENCRequest longer than it may be", Request(kGssEnc, 9u), kBadLength),
          bad("version 0.0", Request(0), kUnsupported),
          bad("version 4.0", Request(4 << 16), kUnsupported),
          bad("a code that is none", Request(0x12345678), kUnsupported),
          bad("of the longest length", Request(0x12345678, 10'000u), kUnsupported),
          bad("SSLRequest damaged", Request(kSsl ^ 0xff00), kUnsupported,
              {Signal::kMangledCommand}),
          bad("SSLRequest crossed out", Request(0x58585858), kUnsupported,
              {Signal::kMangledCommand}),
          Closed("GSSAPI twice", kGssRequest + kGssRequest + kSslRequest,
                 "N" + Error("08P01", "GSSAPI encryption asked for twice"),
                 EndReason::kTooManyErrors, {}),
      },
      CreatePostgresql, {});
}

TEST(Postgresql, Strangers) {
  const auto cross = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), "", EndReason::kCrossProtocol,
                  {Attack::kCrossProtocol});
  };
  const auto tls = [](std::string name, std::string sent, std::string said = "") {
    return Closed(std::move(name), std::move(sent), std::move(said), EndReason::kTlsOnPlainPort,
                  {Attack::kTlsOnPlainPort});
  };
  RunCases(
      {
          cross("HTTP", "POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
          cross("mail", "EHLO client.example.net\r\n"),
          cross("a password without a start-up", "p" + Number(10) + "secret"),
          tls("TLS", "\x16\x03\x01\x02"),
          tls("an SSLv2 hello", "\x80\x2e\x01"),
          tls("TLS behind a declined request", kGssRequest + "\x16\x03\x01", "N"),
      },
      CreatePostgresql, {});
}

TEST(Postgresql, RequestsToCancel) {
  const auto cancel = [](std::string name, std::string sent, std::string said = "",
                         std::string left = "") {
    // If the octets come in pieces, those after the request find the client on hold.
    return DialogueCase{std::move(name),       {std::move(sent)}, std::move(said),
                        Verdict::kOpenAllLegs, EndReason::kNone,  std::move(left)};
  };
  const auto bad = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), kBadLength, EndReason::kBadOctet,
                  {Attack::kBadOctet});
  };
  RunCases(
      {
          cancel("alone", kCancelRequest),
          cancel("after GSSAPI was declined", kGssRequest + kCancelRequest, "N"),
          cancel("the longest key", Request(kCancel, Number(1) + std::string(256, 'k'))),
          bad("no number", Request(kCancel)),
          bad("an octet of the key less", Request(kCancel, Number(1) + "key")),
          bad("an octet more than the longest key",
              Request(kCancel, Number(1) + std::string(257, 'k'))),
          {"not whole yet",
           {kCancelRequest.substr(0, 15)},
           "",
           Verdict::kContinue,
           EndReason::kNone,
           kCancelRequest.substr(0, 15)},
          {"and then another",
           {kCancelRequest, kSslRequest},
           "",
           Verdict::kHold,
           EndReason::kNone,
           kSslRequest},
      },
      CreatePostgresql, {});
}

TEST(Postgresql, ARequestToCancelGoesToEveryServer) {
  for (const size_t piece : {std::string::npos, size_t{1}}) {
    DialogueOptions options;
    DialogueDriver driver(CreatePostgresql, options);
    driver.Raise(EventKind::kStart);
    driver.Client(kCancelRequest, piece);
    ASSERT_EQ(driver.verdict(), Verdict::kOpenAllLegs);
    for (int server = 0; server < 3; ++server) {
      driver.Raise(EventKind::kLegUp);
      EXPECT_EQ(driver.verdict(), Verdict::kHold);
      EXPECT_EQ(driver.TakeToBackend(), kCancelRequest);
      // A server that says anything has had its turn.
      driver.Backend(Error("53300", "sorry, too many clients already"), piece);
      EXPECT_EQ(driver.verdict(), Verdict::kCloseLeg);
      EXPECT_EQ(driver.backend_left(), "");
    }
    driver.Raise(EventKind::kLegFailed);
    EXPECT_EQ(driver.verdict(), Verdict::kClose);
    EXPECT_EQ(Label(driver.reason()), Label(EndReason::kBackendClosed));
    EXPECT_EQ(driver.attacks(), 0u);
    EXPECT_EQ(driver.TakeToClient(), "");
  }
}

TEST(Postgresql, NothingIsSaidToWhoCancels) {
  for (const auto& [kind, reason] :
       {std::pair{EventKind::kLegFailed, EndReason::kBackendUnavailable},
        std::pair{EventKind::kDeadline, EndReason::kPreRelayDeadline},
        std::pair{EventKind::kDrain, EndReason::kDrainDeadline}}) {
    DialogueOptions options;
    DialogueDriver driver(CreatePostgresql, options);
    driver.Raise(EventKind::kStart);
    driver.Client(kCancelRequest);
    driver.Raise(kind);
    EXPECT_EQ(driver.verdict(), Verdict::kClose);
    EXPECT_EQ(Label(driver.reason()), Label(reason));
    EXPECT_EQ(driver.TakeToClient(), "");
  }
}

TEST(Postgresql, NothingIsSaidOnTheFreshLeg) {
  DialogueOptions options;
  DialogueDriver driver(CreatePostgresql, options);
  driver.Raise(EventKind::kStart);
  driver.Client(kSslRequest);
  driver.Raise(EventKind::kUpgraded);
  driver.Client(kStartUp);
  EXPECT_EQ(driver.verdict(), Verdict::kHold);
  driver.Raise(EventKind::kLegUp, /*inside_tls=*/true);
  EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  EXPECT_EQ(driver.client_left(), kStartUp);
  EXPECT_EQ(driver.TakeToClient(), "S");
  EXPECT_EQ(driver.TakeToBackend(), "");
}

TEST(Postgresql, ABackendBeforeItsTime) {
  DialogueOptions options;
  DialogueDriver driver(CreatePostgresql, options);
  driver.Raise(EventKind::kStart);
  driver.BackendWithoutLeg("R");
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
  EXPECT_EQ(driver.reason(), EndReason::kBackendProtocol);
  EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
  EXPECT_EQ(driver.TakeToClient(), Error("57P03", "server not available, try again later"));
}

TEST(Postgresql, EventsEndTheSessionInItsWords) {
  RunEndWords({.down = Error("57P03", "server not available, try again later"),
               .late = Error("57P05", "no request received in time"),
               .stop = Error("57P01", "terminating connection due to administrator command")},
              kSslRequest, CreatePostgresql, {}, /*leg=*/false);
}

TEST(Postgresql, RefusalsOutsideOfADialogue) {
  const auto said = [](Refusal refusal) {
    std::vector<uint8_t> memory(kMinOutputRoom);
    Writer out(memory);
    RefusePostgresql(refusal, {}, out);
    return std::string(AsText(out.written()));
  };
  EXPECT_EQ(said(Refusal::kTooBusy), Error("53300", "too many connections, try again later"));
  EXPECT_EQ(said(Refusal::kTlsExpected), Error("28000", "TLS is spoken here from the first octet"));
}

}  // namespace
}  // namespace starling
