// Whole SMTP and LMTP sessions under both policies: any octets of both sides in
// any order. The contract holds (SmtpPlay), pieces give what the whole gives, and
// no word that must never pass reaches a backend as a command.
//
// An input is an octet of switches and then moves: an octet that says whose, one
// for the length, and that many octets.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocols/smtp/smtp_play.h"

namespace {

using namespace starling;

struct Outcome {
  std::string to_client, to_backend, client_left, backend_left;
  Verdict verdict;
  EndReason reason;
  uint32_t signals, attacks;
  bool operator==(const Outcome&) const = default;
};

void Play(SmtpPlay& play, std::string_view moves) {
  Event start;
  start.capabilities = 0xfeedu;
  play.Raise(start);
  bool client_ended = false;
  while (moves.size() >= 2 && !play.over()) {
    uint8_t kind = static_cast<uint8_t>(moves[0]);
    std::string_view octets = moves.substr(2, static_cast<uint8_t>(moves[1]));
    moves.remove_prefix(2 + octets.size());
    switch (kind % 4) {
      case 0:
      case 1:
        play.Client(octets);
        break;
      case 2:
        // A reply that comes before its command has been passed on is refused, and
        // none is read once all that an ended client waits for has come: then it
        // matters which octets come together.
        play.client_left().empty() && !client_ended ? play.Backend(octets)
                                                    : play.Backend(octets, octets.size());
        break;
      default:
        client_ended = client_ended || kind / 4 % 2 == 0;
        play.Raise(kind / 4 % 2 == 0 ? EventKind::kClientEnd : EventKind::kBackendEnd);
        break;
    }
    if (!play.over() && play.opening()) play.Raise(EventKind::kLegUp);
    if (play.verdict() == Verdict::kUpgrade && kind / 8 % 2 == 0) play.EnterTls();
  }
}

Outcome Run(uint8_t switches, std::string_view moves, size_t piece) {
  DialogueOptions options;
  options.policy = (switches & 1) != 0 ? Policy::kOpportunistic : Policy::kRequire;
  options.plaintext_auth = (switches & 4) != 0;
  options.accept_bare_lf = (switches & 8) != 0;
  options.max_line = 64;
  options.max_commands = 16;
  SmtpPlay play(options, (switches & 2) != 0, piece);
  Play(play, moves);
  std::string to_backend = play.TakeToBackend();
  if (options.policy == Policy::kRequire && !to_backend.empty()) std::abort();
  const bool ended = play.over();
  // What is left when a session has ended depends on how it was cut.
  return {play.TakeToClient(),
          to_backend,
          ended ? std::string() : play.client_left(),
          ended ? std::string() : play.backend_left(),
          play.verdict(),
          play.reason(),
          play.signals(),
          play.attacks()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view moves(reinterpret_cast<const char*>(data) + 1, size - 1);
  Outcome whole = Run(data[0], moves, std::string::npos);
  for (size_t piece : {1, 3}) {
    if (Run(data[0], moves, piece) != whole) std::abort();
  }
  return 0;
}
