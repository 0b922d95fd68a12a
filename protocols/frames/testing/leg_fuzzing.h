// Runs one fuzz input as a session with a plaintext leg, whole and in pieces. All runs must
// give the same result. Searches the output for what must never get through to either side.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/testing/dialogue_driver.h"

namespace starling {

struct LegOutcome {
  std::string to_client, to_backend, client_left;
  Verdict verdict;
  EndReason reason;
  uint32_t signals, attacks;
  bool inside_tls;

  bool operator==(const LegOutcome&) const = default;
};

inline LegOutcome PlayLeg(DialogueDriver::Create create, const DialogueOptions& options,
                          std::string_view moves, size_t piece, const Endpoint* client = nullptr) {
  DialogueDriver play(create, options, piece);
  play.Raise(EventKind::kStart);
  bool inside_tls = false;
  while (moves.size() >= 2 && !play.over()) {
    const uint8_t kind = static_cast<uint8_t>(moves[0]);
    std::string_view octets = moves.substr(2, static_cast<uint8_t>(moves[1]));
    moves.remove_prefix(2 + octets.size());
    if (kind % 2 == 0) {
      play.Client(octets);
    } else if (play.client_left().empty()) {
      play.Backend(octets);
    } else {
      // A reply may come before its command has been passed on. That must not depend on how
      // the reply is cut.
      play.Backend(octets, octets.size());
    }
    if (!play.over() && play.opening()) play.Raise(EventKind::kLegUp);
    if (play.verdict() == Verdict::kUpgrade && kind / 2 % 2 == 0) {
      inside_tls = true;
      play.EnterTls(client);
    }
  }
  if (!play.over()) play.Raise(EventKind::kClientEnd);
  const bool relays = play.verdict() == Verdict::kRelay;
  return {play.TakeToClient(),
          play.TakeToBackend(),
          relays ? play.client_left() : std::string(),
          play.verdict(),
          play.reason(),
          play.signals(),
          play.attacks(),
          inside_tls};
}

// The word that a server finds if it is lenient about what precedes it.
inline std::string_view LenientVerb(std::string_view text) {
  auto is_word = [](char c) { return IsVerb({&c, 1}); };
  while (!text.empty() && !is_word(text.front())) text.remove_prefix(1);
  size_t size = 0;
  while (size < text.size() && is_word(text[size])) ++size;
  return text.substr(0, size);
}

// Calls `line` for each whole line of `text`.
inline void ForEachLine(std::string_view text, const std::function<void(std::string_view)>& line) {
  for (size_t end; (end = text.find("\r\n")) != std::string_view::npos;) {
    line(text.substr(0, end));
    text.remove_prefix(end + 2);
  }
}

// `logs_in`: whether a line is a log-in, which must not reach the backend if the gateway
// refuses log-in.
inline int FuzzLeg(DialogueDriver::Create create, const uint8_t* data, size_t size,
                   bool (*logs_in)(std::string_view line)) {
  if (size == 0) return 0;
  DialogueOptions options;
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = (data[0] & 1) != 0;
  options.accept_bare_lf = (data[0] & 2) != 0;
  options.max_line = 128;
  options.max_commands = 16;
  std::string_view moves(reinterpret_cast<const char*>(data) + 1, size - 1);
  const LegOutcome whole = PlayLeg(create, options, moves, std::string::npos);
  for (size_t piece : {1, 3}) {
    if (PlayLeg(create, options, moves, piece) != whole) std::abort();
  }
  if (options.plaintext_auth) return 0;
  if (whole.verdict == Verdict::kRelay && !whole.inside_tls) std::abort();
  ForEachLine(whole.to_backend, [&](std::string_view line) {
    if (logs_in(line)) std::abort();
  });
  return 0;
}

}  // namespace starling
