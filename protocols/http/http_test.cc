#include "protocols/http/http.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"
#include "protocols/http/limits.h"

namespace starling {
namespace {

const std::string kUpgrade =
    "OPTIONS * HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\nHost: a.example\r\n\r\n";
const std::string kGoAhead =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n"
    "Connection: Upgrade\r\n\r\n";
const std::string kRequired =
    "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n"
    "Connection: Upgrade, close\r\nContent-Length: 0\r\n\r\n";
const std::string kGet = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const std::string kLogIn = "GET / HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic eDp5\r\n\r\n";

std::string Status(const std::string& status) {
  return "HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
}
const std::string kBad = Status("400 Bad Request");

DialogueOptions Opportunistic(bool plaintext_auth = false) {
  DialogueOptions options;
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = plaintext_auth;
  return options;
}

DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                    std::vector<Attack> attacks = {}, std::vector<Signal> signals = {}) {
  return {std::move(name),    {std::move(sent)}, std::move(said), Verdict::kClose, reason, "",
          std::move(signals), std::move(attacks)};
}

DialogueCase Required(std::string name, std::string sent, std::vector<Attack> attacks = {}) {
  return Closed(std::move(name), std::move(sent), kRequired, EndReason::kTlsRequired,
                std::move(attacks));
}

std::string With(std::string fields) {
  return kUpgrade.substr(0, kUpgrade.size() - 2) + fields + "\r\n\r\n";
}

TEST(Http, TheClientSpeaksFirst) {
  DialogueOptions options;
  DialogueDriver driver(CreateHttp, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "");
  EXPECT_EQ(driver.verdict(), Verdict::kContinue);
}

TEST(Http, PointOfUpgrade) {
  const auto upgrade = [](std::string name, std::string sent, std::string left = "") {
    return DialogueCase{std::move(name),   {std::move(sent)}, kGoAhead,
                        Verdict::kUpgrade, EndReason::kNone,  std::move(left)};
  };
  for (const DialogueOptions& options : {DialogueOptions{}, Opportunistic()}) {
    RunCases(
        {
            upgrade("alone", kUpgrade),
            upgrade("an empty line before it", "\r\n" + kUpgrade),
            upgrade("a body of nothing", With("Content-Length: 0")),
            upgrade("a request behind it", kUpgrade + kGet, kGet),
            upgrade("an empty line behind it", kUpgrade + "\r\n", "\r\n"),
            {"a second segment behind it",
             {kUpgrade, "x"},
             kGoAhead,
             Verdict::kUpgrade,
             EndReason::kNone,
             "x"},
            {"an octet less",
             {kUpgrade.substr(0, kUpgrade.size() - 1)},
             "",
             Verdict::kContinue,
             EndReason::kNone,
             kUpgrade.substr(0, kUpgrade.size() - 1)},
        },
        CreateHttp, options);
  }
}

TEST(Http, AllElseIsToldToUpgrade) {
  const std::string get_with_upgrade =
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n";
  const std::string websocket =
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  const std::string print =
      "POST /printers/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/ipp\r\n"
      "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
  RunCases(
      {
          Required("of a browser", kGet),
          Required("of old", "GET / HTTP/1.0\r\n\r\n"),
          Required("without fields that ask for it", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
          Required("by another method", get_with_upgrade),
          Required("for another protocol", websocket),
          Required("of HTTP/1.0",
                   "OPTIONS * HTTP/1.0\r\nConnection: Upgrade\r\n"
                   "Upgrade: TLS/1.0\r\n\r\n"),
          Required("with a body", With("Content-Length: 5") + "hello"),
          Required("with a body of chunks", With("Transfer-Encoding: chunked") + "0\r\n\r\n"),
          Required("of CUPS", print + "0\r\n\r\n"),
          Required("two at once", kGet + kUpgrade),
      },
      CreateHttp, {});
}

TEST(Http, NoLogInInPlaintext) {
  RunCases(
      {
          Required("with a password", kLogIn, {Attack::kPlaintextAuth}),
          Required("by another method, with a body",
                   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                   "authorization:Negotiate x\r\n\r\nx",
                   {Attack::kPlaintextAuth}),
      },
      CreateHttp, {});
  RunCases({Required("under opportunistic", kLogIn, {Attack::kPlaintextAuth})}, CreateHttp,
           Opportunistic());
}

// llhttp and the head's own test have the rest of it.
TEST(Http, MalformedRequests) {
  const auto bad = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), kBad, EndReason::kBadOctet,
                  {Attack::kBadOctet});
  };
  for (const DialogueOptions& options : {DialogueOptions{}, Opportunistic(true)}) {
    RunCases(
        {
            bad("a length and chunks", With("Content-Length: 5\r\nTransfer-Encoding: chunked")),
            bad("two lengths", With("Content-Length: 0\r\nContent-Length: 0")),
            bad("two hosts", With("Host: b.example")),
            bad("no host", "GET / HTTP/1.1\r\n\r\n"),
            bad("a space before the colon", With("Content-Length : 5")),
            bad("a line that continues a field", With("A: b\r\n c")),
            bad("a bare LF", With("A: b\nContent-Length: 5")),
            bad("a bare LF as the end", kUpgrade.substr(0, kUpgrade.size() - 2) + "\n"),
            bad("NUL", With(std::string("A: \0", 4))),
            bad("NUL in the first line", std::string("OPTIONS\0* HTTP/1.1", 18)),
            bad("8-bit octets in the first line", "OPTIONS \xc3\xa4 HTTP/1.1\r\n"),
            bad("binary junk", std::string("\x01\x00\xff\xfe", 4)),
            bad("an unknown method", "FOO / HTTP/1.1\r\nHost: x\r\n\r\n"),
        },
        CreateHttp, options);
  }
  DialogueCase lenient =
      bad("a bare LF where an option allows it elsewhere", "OPTIONS * HTTP/1.1\nHost: x\n\n");
  lenient.accept_bare_lf = true;
  RunCases({lenient}, CreateHttp, {});
}

TEST(Http, LongRequests) {
  const auto head = [](size_t size) {
    const std::string rest = With("A: ");
    return With("A: " + std::string(size - rest.size(), 'x'));
  };
  ASSERT_EQ(head(kHttpMaxHead).size(), kHttpMaxHead);
  const std::string said = Status("431 Request Header Fields Too Large");
  RunCases(
      {
          {"at the limit", {head(kHttpMaxHead)}, kGoAhead, Verdict::kUpgrade},
          Closed("over the limit", head(kHttpMaxHead + 1), said, EndReason::kLineTooLong,
                 {Attack::kOverlongLine}),
          Closed("a line without end", std::string(kHttpMaxHead + 1, 'x'), said,
                 EndReason::kLineTooLong, {Attack::kOverlongLine}),
      },
      CreateHttp, {});
}

TEST(Http, Strangers) {
  const auto cross = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), "", EndReason::kCrossProtocol,
                  {Attack::kCrossProtocol});
  };
  const auto tls = [](std::string name, std::string sent) {
    return Closed(std::move(name), std::move(sent), "", EndReason::kTlsOnPlainPort,
                  {Attack::kTlsOnPlainPort});
  };
  RunCases(
      {
          cross("mail", "EHLO client.example.net\r\n"),
          cross("IMAP", "a001 STARTTLS\r\n"),
          cross("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          tls("TLS", "\x16\x03\x01"),
          tls("an SSLv2 hello", "\x80\x2e\x01"),
          Closed("TLS behind half a request", "OPTIONS \x16\x03\x01", kBad, EndReason::kBadOctet,
                 {Attack::kBadOctet}),
          Closed("a damaged method", "XXXXXXX * HTTP/1.1\r\nHost: x\r\n\r\n", kBad,
                 EndReason::kBadOctet, {Attack::kBadOctet}, {Signal::kMangledCommand}),
          Closed("a damaged field",
                 "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nXpgrade: TLS/1.0\r\n\r\n",
                 kRequired, EndReason::kTlsRequired, {}, {Signal::kMangledCommand}),
      },
      CreateHttp, {});
}

TEST(Http, TheRequestIsMadeAnewOnTheFreshLeg) {
  DialogueOptions options;
  options.hostname = "gateway.example.org";
  DialogueDriver driver(CreateHttp, options);
  driver.Raise(EventKind::kStart);
  driver.Client(With("X-Secret: carried"));
  ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
  EXPECT_EQ(driver.TakeToClient(), kGoAhead);
  driver.Raise(EventKind::kUpgraded);
  driver.Client(kGet);
  EXPECT_EQ(driver.verdict(), Verdict::kHold);
  driver.Raise(EventKind::kLegUp, /*inside_tls=*/true);
  EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  EXPECT_EQ(driver.TakeToBackend(), "OPTIONS * HTTP/1.1\r\nHost: gateway.example.org\r\n\r\n");
  EXPECT_EQ(driver.TakeToClient(), "");
  EXPECT_EQ(driver.client_left(), kGet);
}

TEST(Http, TheHostIsOneOfThoseServed) {
  DialogueOptions options;
  options.served_names = {"print.example.org", "a.example"};
  for (const auto& [named, served] :
       std::vector<std::pair<std::string, std::string>>{{"a.example", "a.example"},
                                                        {"A.Example:631", "a.example"},
                                                        {"print.example.org", "print.example.org"},
                                                        {"b.example", "print.example.org"},
                                                        {"a.example.", "print.example.org"},
                                                        {"[2001:db8::1]:631", "print.example.org"},
                                                        {"", "print.example.org"}}) {
    DialogueDriver driver(CreateHttp, options);
    driver.Raise(EventKind::kStart);
    driver.Client("OPTIONS * HTTP/1.1\r\nHost: " + named +
                  "\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n");
    ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
    driver.EnterTls();
    EXPECT_EQ(driver.TakeToBackend(), "OPTIONS * HTTP/1.1\r\nHost: " + served + "\r\n\r\n");
  }
}

TEST(Http, OpportunisticPassesTheFirstRequestWhole) {
  const std::string post = "\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
  struct Case {
    std::string head, rest;
    bool plaintext_auth = false;
  };
  for (const Case& c : {Case{kGet, ""}, Case{kGet, kUpgrade}, Case{kLogIn, "", true},
                        Case{post, "hel"}, Case{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", ""}}) {
    for (const size_t piece : {std::string::npos, size_t{1}}) {
      const DialogueOptions options = Opportunistic(c.plaintext_auth);
      DialogueDriver driver(CreateHttp, options);
      driver.Raise(EventKind::kStart);
      driver.Client(c.head, piece);
      EXPECT_EQ(driver.verdict(), Verdict::kOpenLeg);
      driver.Client(c.rest + "more", piece);
      driver.Raise(EventKind::kLegUp, /*inside_tls=*/false);
      EXPECT_EQ(driver.verdict(), Verdict::kRelay);
      EXPECT_EQ(driver.client_left(), c.head + c.rest + "more");
      EXPECT_EQ(driver.TakeToClient() + driver.TakeToBackend(), "");
      EXPECT_EQ(driver.attacks() | driver.signals(), 0u);
    }
  }
}

// Else it would have TLS from the backend, past the gateway.
TEST(Http, OpportunisticPassesNoOtherUpgradeToTls) {
  RunCases(
      {
          Required("by another method",
                   "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n"),
          Required("with a body", With("Content-Length: 5")),
          Required("in HTTP/1.0",
                   "OPTIONS * HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n"),
          Required(
              "for who searches for it",
              "GET / HTTP/1.1\r\nHost: x\r\nConnection: xUpgrade\r\nUpgrade: a,xtls/1.0\r\n\r\n"),
          Required("a tunnel", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"),
      },
      CreateHttp, Opportunistic(true));
}

TEST(Http, ABackendBeforeItsTime) {
  DialogueOptions options;
  DialogueDriver driver(CreateHttp, options);
  driver.Raise(EventKind::kStart);
  driver.Client("G");
  driver.BackendWithoutLeg("HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
  EXPECT_EQ(driver.reason(), EndReason::kBackendProtocol);
  EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
  EXPECT_EQ(driver.TakeToClient(), Status("503 Service Unavailable"));
}

TEST(Http, EventsEndTheSessionInItsWords) {
  const std::string down = Status("503 Service Unavailable");
  const EndWords words{.down = down, .late = Status("408 Request Timeout"), .stop = down};
  for (const EventCase& c : words.Cases()) {
    // What was sent, whether TLS begins, and whether an answer is due.
    struct Case {
      std::string sent;
      bool upgrades, answered;
    };
    for (const Case& when : {Case{"", false, false}, Case{"G", false, true},
                             Case{kUpgrade, true, true}, Case{kGet, false, true}}) {
      SCOPED_TRACE(std::string(Label(c.reason)) + " after " + when.sent);
      const DialogueOptions options = Opportunistic();
      DialogueDriver driver(CreateHttp, options);
      driver.Raise(EventKind::kStart);
      driver.Client(when.sent);
      if (when.upgrades) driver.Raise(EventKind::kUpgraded);
      driver.TakeToClient();
      driver.Raise(c.kind, when.upgrades);
      EXPECT_EQ(driver.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(driver.reason()), Label(c.reason));
      EXPECT_EQ(driver.TakeToClient(), when.answered ? c.said : "");
    }
  }
}

TEST(Http, RefusalsOutsideOfADialogue) {
  const auto said = [](Refusal refusal) {
    std::vector<uint8_t> memory(kMinOutputRoom);
    Writer out(memory);
    RefuseHttp(refusal, {}, out);
    return std::string(AsText(out.written()));
  };
  EXPECT_EQ(said(Refusal::kTooBusy), Status("503 Service Unavailable"));
  EXPECT_EQ(said(Refusal::kTlsExpected), Status("400 TLS is spoken here from the first octet"));
}

}  // namespace
}  // namespace starling
