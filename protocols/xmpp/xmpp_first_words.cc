// What a probe says to an XMPP server: the header of a stream, which the server answers with its
// own, or with an error (RFC 6120 section 4.2).
#include "protocols/frames/dialogue.h"
#include "protocols/xmpp/xmpp.h"

namespace starling {
namespace {

void SayHeader(std::string_view space, const DialogueOptions& options, Writer& out) {
  const std::string& domain =
      options.served_names.empty() ? options.hostname : options.served_names.front();
  Say(out, {"<?xml version='1.0'?><stream:stream xmlns='", space,
            "' xmlns:stream='http://etherx.jabber.org/streams' to='", domain, "' version='1.0'>"});
}

}  // namespace

void SayXmppClientFirstWords(const DialogueOptions& options, Writer& out) {
  SayHeader("jabber:client", options, out);
}

void SayXmppServerFirstWords(const DialogueOptions& options, Writer& out) {
  SayHeader("jabber:server", options, out);
}

}  // namespace starling
