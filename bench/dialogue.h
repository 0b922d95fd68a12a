// A client's script, line by line: the commands up to STARTTLS, or a whole visit to a
// mail server.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace starling::bench {

// Sends `say`, which may be empty, and waits for a line that begins with `ends`.
struct Turn {
  std::string_view say;
  std::string_view ends;
};

struct Script {
  std::span<const Turn> turns;
  // Lines that begin with one of these are refusals.
  std::span<const std::string_view> refusals;
};

// The script up to TLS for a protocol of --starttls; null for others.
const Script* StartTlsScript(std::string_view protocol);
// A visit inside TLS, for smtp or imap. Its first turn is the greeting, which servers do
// not repeat after STARTTLS.
const Script* MailScript(std::string_view protocol);

class Dialogue {
 public:
  enum class State { kSay, kWait, kDone, kFailed };

  void Begin(const Script& script, size_t turn = 0);
  State state() const { return state_; }
  // In state kSay: the octets to send. Afterwards the dialogue waits for the answer.
  std::string_view Say();
  // In state kWait: takes octets from the server until the state changes. Returns how
  // many it took.
  size_t Take(std::string_view octets);

 private:
  void StartTurn();
  void LineEnded();

  const Script* script_ = nullptr;
  size_t turn_ = 0;
  State state_ = State::kDone;
  // The beginning of the incomplete line; the dialogue ignores the rest.
  std::array<char, 16> line_{};
  size_t line_size_ = 0;
};

}  // namespace starling::bench
