// What the gateway and a client say in XMPP before TLS, for this protocol's tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"
#include "protocols/xmpp/xmpp.h"

namespace starling {

inline DialogueOptions Options() {
  DialogueOptions options;
  options.served_names = {"example.org", "example.net"};
  return options;
}

inline std::string Header(const std::string& more = " to='example.org' version='1.0'",
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
inline std::string Answer(const std::string& from = "example.org", const std::string& to = "",
                          const std::string& space = "jabber:client",
                          const std::string& id = "00000000") {
  return kDeclaration + "<stream:stream xmlns='" + space +
         "' xmlns:stream='http://etherx.jabber.org/streams' from='" + from +
         (to.empty() ? "" : "' to='" + to) + "' id='" + id + "' version='1.0' xml:lang='en'>";
}

inline std::string Error(const std::string& condition, const std::string& text) {
  return "<stream:error><" + condition +
         " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text "
         "xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>" +
         text + "</text></stream:error>" + kEnd;
}

const std::string kOffer = Answer() + kFeatures;

inline DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                           std::vector<Attack> attacks = {}) {
  return {std::move(name),   {std::move(sent)}, std::move(said), Verdict::kClose, reason, "", {},
          std::move(attacks)};
}

}  // namespace starling
