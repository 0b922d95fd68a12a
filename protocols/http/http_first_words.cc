// What a probe asks a web server: what it can do, of no resource (RFC 9110 section 9.3.7).
#include "protocols/frames/dialogue.h"
#include "protocols/http/http.h"

namespace starling {

void SayHttpFirstWords(const DialogueOptions& options, Writer& out) {
  const std::string& host =
      options.served_names.empty() ? options.hostname : options.served_names.front();
  Say(out, {"OPTIONS * HTTP/1.1\r\nHost: ", host, "\r\nConnection: close\r\n\r\n"});
}

}  // namespace starling
