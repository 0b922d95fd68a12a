// What a probe asks a database: whether it would like TLS, which needs no user and no log-in.
#include "protocols/frames/dialogue.h"
#include "protocols/postgresql/postgresql.h"

namespace starling {

void SayPostgresqlFirstWords(const DialogueOptions& /*options*/, Writer& out) {
  constexpr std::string_view kSslRequest("\0\0\0\x08\x04\xd2\x16\x2f", 8);
  Say(out, {kSslRequest});
}

}  // namespace starling
