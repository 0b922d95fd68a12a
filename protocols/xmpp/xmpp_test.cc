#include "protocols/xmpp/xmpp.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"

namespace starling {
namespace {

DialogueOptions Options() {
  DialogueOptions options;
  options.served_names = {"example.org", "example.net"};
  return options;
}

std::string Header(const std::string& more = " to='example.org' version='1.0'",
                   const std::string& space = "jabber:client") {
  return "<stream:stream xmlns='" + space + "' xmlns:stream='http://etherx.jabber.org/streams'" +
         more + ">";
}

const std::string kDeclaration = "<?xml version='1.0'?>";
const std::string kFeatures =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    "</stream:features>";
const std::string kStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const std::string kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const std::string kEnd = "</stream:stream>";
const std::string kUseTls = "TLS is required here, use STARTTLS";

// The answer to a header. `to` is the client's own name.
std::string Answer(const std::string& from = "example.org", const std::string& to = "",
                   const std::string& space = "jabber:client", const std::string& id = "00000000") {
  return kDeclaration + "<stream:stream xmlns='" + space +
         "' xmlns:stream='http://etherx.jabber.org/streams' from='" + from +
         (to.empty() ? "" : "' to='" + to) + "' id='" + id + "' version='1.0' xml:lang='en'>";
}

std::string Error(const std::string& condition, const std::string& text) {
  return "<stream:error><" + condition +
         " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text "
         "xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>" +
         text + "</text></stream:error>" + kEnd;
}

const std::string kOffer = Answer() + kFeatures;

DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                    std::vector<Attack> attacks = {}) {
  return {std::move(name),   {std::move(sent)}, std::move(said), Verdict::kClose, reason, "", {},
          std::move(attacks)};
}

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

TEST(Xmpp, WhatStandsInStartTls) {
  const std::string open = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>";
  const std::string said = kOffer + "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + kEnd;
  RunCases(
      {
          Closed("an element", Header() + open + "<required/></starttls>", said,
                 EndReason::kBadOctet, {Attack::kBadOctet}),
          Closed("text", Header() + open + "x</starttls>", said, EndReason::kBadOctet,
                 {Attack::kBadOctet}),
      },
      CreateXmppClient, Options());
}

TEST(Xmpp, NothingElseBeforeTls) {
  const std::string refused = kOffer + Error("policy-violation", kUseTls);
  const auto taken = [&](std::string name, std::string sent, std::vector<Attack> attacks = {}) {
    return DialogueCase{std::move(name),     {Header(), std::move(sent)}, refused,
                        Verdict::kClose,     EndReason::kTlsRequired,     "",
                        {Signal::kNotTaken}, std::move(attacks)};
  };
  const std::string sasl = " xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>";
  RunCases(
      {
          taken("a message", "<message to='a@example.org'>"),
          taken("presence", "<presence/>"),
          taken("log-in", "<auth" + sasl + "AGEAYg==</auth>", {Attack::kPlaintextAuth}),
          taken("log-in of SASL 2", "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>",
                {Attack::kPlaintextAuth}),
          taken("log-in as it was before",
                "<iq type='set'><query xmlns='jabber:iq:auth'><password>secret</password>",
                {Attack::kPlaintextAuth}),
          taken("another query", "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>"),
          taken("an empty query", "<iq/>"),
          taken("a second header", Header()),
          taken("compression", "<compress xmlns='http://jabber.org/protocol/compress'>"),
      },
      CreateXmppClient, Options());
  RunCases(
      {{"dialback",
        {Header(" version='1.0'", "jabber:server"),
         "<db:result xmlns:db='jabber:server:dialback' from='a' to='b'>key</db:result>"},
        Answer("example.org", "", "jabber:server") + kFeatures + Error("policy-violation", kUseTls),
        Verdict::kClose,
        EndReason::kTlsRequired,
        "",
        {Signal::kNotTaken}}},
      CreateXmppServer, Options());
}

TEST(Xmpp, ADamagedCommand) {
  for (const char* element :
       {"<starttlx xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<XXXXXXXX/>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-xxx'/>", "<starttls/>"}) {
    RunCases({{element,
               {Header(), element},
               kOffer + Error("policy-violation", kUseTls),
               Verdict::kClose,
               EndReason::kTlsRequired,
               "",
               {Signal::kNotTaken, Signal::kMangledCommand}}},
             CreateXmppClient, Options());
  }
}

TEST(Xmpp, TheEndOfTheStream) {
  RunCases(
      {Closed("goodbye", Header() + kEnd + kStartTls, kOffer + kEnd, EndReason::kGoodbye),
       Closed("at once", Header(" version='1.0'/").substr(0), kOffer + kEnd, EndReason::kGoodbye)},
      CreateXmppClient, Options());
}

TEST(Xmpp, OtherStreams) {
  const std::string other =
      Answer() + Error("invalid-namespace", "Another protocol is spoken here");
  const auto cross = [&](std::string name, std::string sent, std::string said) {
    return Closed(std::move(name), std::move(sent), std::move(said), EndReason::kCrossProtocol,
                  {Attack::kCrossProtocol});
  };
  RunCases(
      {
          cross("of a server", Header(" version='1.0'", "jabber:server"), other),
          cross("of a component", Header("", "jabber:component:accept"), other),
          cross("without a namespace", "<stream>", other),
          cross("of another namespace",
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://x'>", other),
          cross("another element",
                "<stream:features xmlns='jabber:client' "
                "xmlns:stream='http://etherx.jabber.org/streams'>",
                other),
          cross("HTML", "<html>", other),
          Closed("no version", Header(""), Answer() + Error("unsupported-version", kUseTls),
                 EndReason::kTlsRequired),
          Closed("version 0", Header(" version='0.9'"),
                 Answer() + Error("unsupported-version", kUseTls), EndReason::kTlsRequired),
          cross("HTTP", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", ""),
          cross("mail", "EHLO client.example.net\r\n", ""),
          cross("lower case, behind white space", "\na001 STARTTLS\r\n", ""),
          Closed("TLS", "\x16\x03\x01\x02", "", EndReason::kTlsOnPlainPort,
                 {Attack::kTlsOnPlainPort}),
          Closed("an SSLv2 hello", "\x80\x2e\x01", "", EndReason::kTlsOnPlainPort,
                 {Attack::kTlsOnPlainPort}),
          Closed("TLS behind a header", Header() + "\x16\x03\x01", kOffer,
                 EndReason::kTlsOnPlainPort, {Attack::kTlsOnPlainPort}),
      },
      CreateXmppClient, Options());
}

TEST(Xmpp, MalformedOctets) {
  const auto bad = [](std::string name, std::string sent, std::string said) {
    return Closed(std::move(name), std::move(sent), std::move(said), EndReason::kBadOctet,
                  {Attack::kBadOctet});
  };
  const std::string malformed = Error("not-well-formed", "Malformed XML");
  const std::string restricted = Error("restricted-xml", "Not allowed in a stream");
  const std::string text = Error("bad-format", "Text outside of a stanza");
  RunCases(
      {
          bad("NUL", std::string(1, '\0'), Answer() + malformed),
          bad("8-bit octets", "\xc3\xa4", Answer() + malformed),
          bad("a mark of the order of octets", "\xef\xbb\xbf" + Header(), Answer() + malformed),
          bad("NUL in a tag", Header() + std::string("<star\0ttls/>", 12), kOffer + malformed),
          bad("half a character", Header(" to='\xc3' version='1.0'"), Answer() + malformed),
          bad("another end", Header() + "</stream>", kOffer + malformed),
          bad("a DOCTYPE", "<!DOCTYPE x [<!ENTITY a 'b'>]>" + Header(), Answer() + restricted),
          bad("entities of entities",
              kDeclaration + "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>" + Header(),
              Answer() + restricted),
          bad("an entity in the header", Header(" to='&a;' version='1.0'"), Answer() + restricted),
          bad("an instruction", "<?php?>", Answer() + restricted),
          bad("a comment", Header() + "<!-- -->", kOffer + restricted),
          bad("text", Header() + "STARTTLS\r\n", kOffer + text),
          bad("an octet of 8 bits", Header() + "\xff", kOffer + text),
          bad("an entity as text", Header() + "&lt;", kOffer + text),
          bad("another encoding", "<?xml version='1.0' encoding='latin1'?>" + Header(),
              Answer() + Error("unsupported-encoding", "UTF-8 is spoken here")),
      },
      CreateXmppClient, Options());
}

TEST(Xmpp, Bounds) {
  const std::string too_long = Error("policy-violation", "Tag too long");
  std::string attributes = "<a";
  for (int i = 0; i < 400; ++i) attributes += " b" + std::to_string(i) + "=''";
  const size_t room = kXmppMaxOctets - Header().size() - kStartTls.size();
  const std::string white(room, '\n');
  RunCases(
      {
          Closed("a tag without end", Header() + "<" + std::string(8'193, 'x'), kOffer + too_long,
                 EndReason::kLineTooLong, {Attack::kOverlongLine}),
          Closed("a header without end", "<stream:stream a='" + std::string(kXmlMaxTag, '>'),
                 Answer() + too_long, EndReason::kLineTooLong, {Attack::kOverlongLine}),
          Closed("too many attributes", Header() + attributes + ">", kOffer + too_long,
                 EndReason::kLineTooLong, {Attack::kOverlongLine}),
          {"as much as may be",
           {Header() + white + kStartTls},
           kOffer + kProceed,
           Verdict::kUpgrade},
          Closed("an octet more", Header() + white + " " + kStartTls,
                 kOffer + Error("policy-violation", "Too much without TLS"),
                 EndReason::kTooManyErrors),
          Closed("white space without end", std::string(kXmppMaxOctets + 1, ' '),
                 Answer() + Error("policy-violation", "Too much without TLS"),
                 EndReason::kTooManyErrors),
      },
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
