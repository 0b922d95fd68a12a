// The first octet of an input has switches. Then come moves: one octet says which side
// moves, one is the length, and the octets of the move follow. Before TLS nothing may reach
// the backend. Inside TLS, the gateway's WEBIRC must come first.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocols/contract/endpoint.h"
#include "protocols/frames/testing/leg_fuzzing.h"
#include "protocols/irc/irc.h"
#include "protocols/irc/irc_options.h"

namespace {

using namespace starling;

// Whether a client has seen an offer depends on what arrives after it, and so on how octets
// are cut. Only that signal may differ.
LegOutcome Play(const DialogueOptions& options, std::string_view moves, size_t piece) {
  static constexpr Endpoint kClient = {.family = Endpoint::Family::kV6, .port = 1, .ip = {}};
  LegOutcome outcome = PlayLeg(CreateIrc, options, moves, piece, &kClient);
  outcome.signals &= ~(1u << static_cast<unsigned>(Signal::kNotTaken));
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  DialogueOptions options;
  options.accept_bare_lf = (data[0] & 1) != 0;
  SetStsPort((data[0] & 2) != 0 ? 6697 : 0, options);
  const bool webirc = (data[0] & 4) != 0;
  if (webirc) SetWebircPassword("secret", options);
  options.max_line = 128;
  options.max_commands = 16;
  const std::string_view moves(reinterpret_cast<const char*>(data) + 1, size - 1);
  const LegOutcome whole = Play(options, moves, std::string::npos);
  for (const size_t piece : {1, 3}) {
    if (Play(options, moves, piece) != whole) std::abort();
  }
  if (!whole.inside_tls && (!whole.to_backend.empty() || whole.verdict == Verdict::kRelay)) {
    std::abort();
  }
  if (webirc && !std::string_view(whole.to_backend)
                     .starts_with(whole.inside_tls ? "WEBIRC secret starling 0:: 0::\r\n" : "")) {
    std::abort();
  }
  return 0;
}
