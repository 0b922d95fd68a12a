// The first octet of an input has switches. Then come moves: one octet says which side
// moves or what happens, one is the length, and the octets of the move follow.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocols/contract/endpoint.h"
#include "protocols/ftp/ftp_play.h"

namespace {

using namespace starling;

const Endpoint kClient{.family = Endpoint::Family::kV4, .port = 50000, .ip = {192, 0, 2, 1}};
const Endpoint kClient6{.family = Endpoint::Family::kV6, .port = 50000, .ip = {0x20, 1}};
const Endpoint kListen{.family = Endpoint::Family::kV4, .port = 40960, .ip = {203, 0, 113, 7}};

struct Outcome {
  std::string to_client, to_backend, asked;
  Verdict verdict;
  EndReason reason;
  uint32_t
      attacks;  // without signals: whether the client has seen an offer depends on how octets come

  bool operator==(const Outcome&) const = default;
};

void Move(uint8_t kind, std::string_view octets, const Endpoint& client, FtpPlay& play) {
  switch (kind % 4) {
    case 0:
      play.Client(octets);
      break;
    case 1:
      // A reply may come before its command has been passed on. That must not depend on how
      // the reply is cut.
      play.Backend(octets, octets.size());
      break;
    case 2:
      play.DataIsOver(static_cast<DataOutcome>(kind / 4 % 4));
      break;
    default:
      play.ListenAt(kind / 4 % 2 == 0 ? &kListen : nullptr);
      break;
  }
  if (play.verdict() == Verdict::kUpgrade) play.EnterTls(&client);
}

Outcome Play(uint8_t switches, std::string_view moves, size_t piece) {
  DialogueOptions options;
  options.max_line = 128;
  options.max_commands = 16;
  options.accept_bare_lf = (switches & 1) != 0;
  const Endpoint& client = (switches & 2) != 0 ? kClient6 : kClient;
  FtpPlay play(options, piece);
  if ((switches & 4) != 0) {
    play.EnterTls(&client);
  } else {
    play.Raise(EventKind::kStart);
  }
  play.ListenAt(&kListen);
  while (moves.size() >= 2 && !play.over()) {
    const uint8_t kind = static_cast<uint8_t>(moves[0]);
    const std::string_view octets = moves.substr(2, static_cast<uint8_t>(moves[1]));
    moves.remove_prefix(2 + octets.size());
    Move(kind, octets, client, play);
  }
  if (!play.over()) play.Raise(EventKind::kDrain, true);
  return {play.TakeToClient(), play.TakeToBackend(), play.TakeAsked(),
          play.verdict(),      play.reason(),        play.attacks()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view moves(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = Play(data[0], moves, std::string::npos);
  for (const size_t piece : {1, 3}) {
    if (Play(data[0], moves, piece) != whole) std::abort();
  }
  return 0;
}
