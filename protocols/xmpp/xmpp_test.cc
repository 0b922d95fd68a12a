// A stream of XMPP up to TLS: headers, STARTTLS and the stream's end.
// xmpp_refusals_test.cc has what the gateway refuses.
#include "protocols/xmpp/xmpp.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/xmpp/xmpp_testing.h"

namespace starling {
namespace {

TEST(Xmpp, TheClientSpeaksFirst) {
  const DialogueOptions options = Options();
  DialogueDriver driver(CreateXmppClient, options);
  driver.Raise(EventKind::kStart);
  EXPECT_EQ(driver.TakeToClient(), "");
  EXPECT_EQ(driver.verdict(), Verdict::kContinue);
}

// The ways in which clients write the same header.
TEST(Xmpp, Headers) {
  const auto header = [](std::string name, std::string sent, std::string said = kOffer) {
    return DialogueCase{std::move(name), {std::move(sent)}, std::move(said)};
  };
  const std::string space = " xmlns:stream='http://etherx.jabber.org/streams'";
  RunCases(
      {
          header("without declaration", Header()),
          header("with one", kDeclaration + Header()),
          header("with its encoding", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" + Header()),
          header("white space around", "\n " + Header() + " \r\n"),
          header("another order, other quotes",
                 "<stream:stream version=\"1.0\" id='' xml:lang='de' to=\"example.org\"" + space +
                     " xmlns=\"jabber:client\" >"),
          header("another prefix",
                 "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' "
                 "to='example.org' version='1.0'>"),
          header("the second domain", Header(" to='EXAMPLE.net' version='1.0'"),
                 Answer("example.net") + kFeatures),
          header("a domain that is not served", Header(" to='127.0.0.1' version='1.0'")),
          header("no domain", Header(" version='1.0'")),
          header("a later version", Header(" version='01.12'")),
          header("who it is", Header(" from='juliet@example.org' to='example.org' version='1.0'"),
                 Answer("example.org", "juliet@example.org") + kFeatures),
          header("a name that would need escapes",
                 Header(" from=\"&lt;a b=&apos;c&apos;>\" to='example.org' version='1.0'")),
          header("a long name", Header(" from='" + std::string(256, 'x') + "' version='1.0'")),
          header("the longest name", Header(" from='" + std::string(255, 'x') + "' version='1.0'"),
                 Answer("example.org", std::string(255, 'x')) + kFeatures),
      },
      CreateXmppClient, Options());
  RunCases({header("of a server",
                   Header(" xmlns:db='jabber:server:dialback' from='a.example' to='example.net' "
                          "version='1.0'",
                          "jabber:server"),
                   Answer("example.net", "a.example", "jabber:server") + kFeatures)},
           CreateXmppServer, Options());
}

TEST(Xmpp, WithoutDomainsTheHostIsNamed) {
  DialogueOptions options;
  options.hostname = "xmpp.example.org";
  RunCases({{"a domain", {Header()}, Answer("xmpp.example.org") + kFeatures}}, CreateXmppClient,
           options);
}

TEST(Xmpp, TheIdIsRandom) {
  const DialogueOptions options = Options();
  DialogueDriver driver(CreateXmppClient, options);
  driver.Start(0x0123'89af'4567'4567);
  driver.Client(Header());
  EXPECT_EQ(driver.TakeToClient(),
            Answer("example.org", "", "jabber:client", "012389af") + kFeatures);
}

TEST(Xmpp, PointOfUpgrade) {
  const std::string open = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>";
  const std::string close = "</starttls>";
  const auto upgrade = [](std::string name, std::string sent, std::string left = "") {
    return DialogueCase{std::move(name),   {std::move(sent)}, kOffer + kProceed,
                        Verdict::kUpgrade, EndReason::kNone,  std::move(left)};
  };
  const std::string auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>";
  RunCases(
      {
          upgrade("alone", Header() + kStartTls),
          upgrade("behind white space", Header() + " \r\n\t" + kStartTls),
          upgrade("open form", Header() + open + close),
          upgrade("open form with white space", Header() + open + " \n" + close),
          upgrade("with a prefix",
                  Header() + "<t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/>"),
          upgrade("with an attribute and an end in it",
                  Header() + "<starttls a='/>' xmlns='urn:ietf:params:xml:ns:xmpp-tls' />"),
          upgrade("an octet behind it", Header() + kStartTls + "\n", "\n"),
          upgrade("a log-in behind it", Header() + kStartTls + auth, auth),
          upgrade("a header behind it", Header() + open + close + Header(), Header()),
          {"a second segment behind it",
           {Header(), kStartTls, auth},
           kOffer + kProceed,
           Verdict::kUpgrade,
           EndReason::kNone,
           auth},
          {"an octet less",
           {Header() + kStartTls.substr(0, kStartTls.size() - 1)},
           kOffer,
           Verdict::kContinue,
           EndReason::kNone,
           kStartTls.substr(0, kStartTls.size() - 1)},
          {"open form without its end",
           {Header() + open + close.substr(0, 10)},
           kOffer,
           Verdict::kContinue,
           EndReason::kNone,
           close.substr(0, 10)},
      },
      CreateXmppClient, Options());
}

TEST(Xmpp, TheEndOfTheStream) {
  RunCases(
      {Closed("goodbye", Header() + kEnd + kStartTls, kOffer + kEnd, EndReason::kGoodbye),
       Closed("at once", Header(" version='1.0'/").substr(0), kOffer + kEnd, EndReason::kGoodbye)},
      CreateXmppClient, Options());
}

TEST(Xmpp, NothingIsSaidOnTheFreshLeg) {
  const DialogueOptions options = Options();
  DialogueDriver driver(CreateXmppClient, options);
  driver.Raise(EventKind::kStart);
  driver.Client(Header() + kStartTls);
  ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
  driver.TakeToClient();
  driver.Raise(EventKind::kUpgraded);
  driver.Client(Header());
  EXPECT_EQ(driver.verdict(), Verdict::kHold);
  driver.Raise(EventKind::kLegUp, /*inside_tls=*/true);
  EXPECT_EQ(driver.verdict(), Verdict::kRelay);
  EXPECT_EQ(driver.client_left(), Header());
  EXPECT_EQ(driver.TakeToClient(), "");
}

TEST(Xmpp, ABackendBeforeItsTime) {
  const DialogueOptions options = Options();
  DialogueDriver driver(CreateXmppClient, options);
  driver.Raise(EventKind::kStart);
  driver.BackendWithoutLeg(kProceed);
  EXPECT_EQ(driver.verdict(), Verdict::kClose);
  EXPECT_EQ(driver.reason(), EndReason::kBackendProtocol);
  EXPECT_TRUE(driver.Saw(Attack::kBackendInjection));
  EXPECT_EQ(driver.TakeToClient(),
            Answer() + Error("remote-connection-failed", "Server not available, try again later"));
}

TEST(Xmpp, EventsEndTheSessionInItsWords) {
  const EndWords words{
      .down = Error("remote-connection-failed", "Server not available, try again later"),
      .late = Error("connection-timeout", "No command received in time"),
      .stop = Error("system-shutdown", "Server shutting down")};
  enum class When { kSilent, kInStream, kInsideTls };
  for (const EventCase& c : words.Cases()) {
    for (const When when : {When::kSilent, When::kInStream, When::kInsideTls}) {
      SCOPED_TRACE(std::string(Label(c.reason)) + " " + std::to_string(static_cast<int>(when)));
      const DialogueOptions options = Options();
      DialogueDriver driver(CreateXmppClient, options);
      driver.Raise(EventKind::kStart);
      if (when != When::kSilent) driver.Client(Header());
      if (when == When::kInsideTls) {
        driver.Client(kStartTls);
        driver.Raise(EventKind::kUpgraded);
      }
      driver.TakeToClient();
      driver.Raise(c.kind, when == When::kInsideTls);
      EXPECT_EQ(driver.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(driver.reason()), Label(c.reason));
      // The goodbye has its own stream, unless there is one already.
      const bool has_stream = when == When::kInStream || c.said.empty();
      EXPECT_EQ(driver.TakeToClient(), (has_stream ? "" : Answer()) + c.said);
    }
  }
}

TEST(Xmpp, OfferThenClose) {
  struct Case {
    std::string sent;
    bool signal;
  };
  for (const Case& c : {Case{"", false}, Case{kDeclaration, false}, Case{Header(), true},
                        Case{Header() + " \n", true},
                        Case{Header() + kStartTls.substr(0, kStartTls.size() - 2) + ">", false}}) {
    const DialogueOptions options = Options();
    DialogueDriver driver(CreateXmppClient, options);
    driver.Raise(EventKind::kStart);
    driver.Client(c.sent);
    driver.Raise(EventKind::kClientEnd);
    EXPECT_EQ(driver.Saw(Signal::kOfferThenClose), c.signal) << c.sent;
  }
}

TEST(Xmpp, RefusalsOutsideOfADialogue) {
  const auto said = [](auto refuse, Refusal refusal) {
    std::vector<uint8_t> memory(kMinOutputRoom);
    Writer out(memory);
    refuse(refusal, Options(), out);
    return std::string(AsText(out.written()));
  };
  EXPECT_EQ(said(RefuseXmppClient, Refusal::kTooBusy),
            Answer("example.org", "", "jabber:client", "0") +
                Error("resource-constraint", "Too many connections, try again later"));
  EXPECT_EQ(said(RefuseXmppServer, Refusal::kTlsExpected),
            Answer("example.org", "", "jabber:server", "0") +
                Error("policy-violation", "TLS is spoken here from the first octet"));
}

}  // namespace
}  // namespace starling
