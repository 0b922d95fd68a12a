// An input is an octet of switches and then moves: an octet that says whose, one for the
// length, and that many octets. Before TLS nothing may reach the backend; inside it the
// gateway's word for who the client is comes first.
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

// Whether an offer has been seen is known by what arrives after it, and so by how octets
// are cut; that one signal may differ.
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
