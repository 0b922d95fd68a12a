// What the gateway refuses in a stream of XMPP before TLS: other elements, other streams,
// malformed octets, and too many of them. xmpp_test.cc has the way to TLS.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/xmpp/xmpp_testing.h"

namespace starling {
namespace {

TEST(XmppRefusals, WhatStandsInStartTls) {
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

TEST(XmppRefusals, NothingElseBeforeTls) {
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

TEST(XmppRefusals, ADamagedCommand) {
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

TEST(XmppRefusals, OtherStreams) {
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

TEST(XmppRefusals, MalformedOctets) {
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

TEST(XmppRefusals, Bounds) {
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

}  // namespace
}  // namespace starling
