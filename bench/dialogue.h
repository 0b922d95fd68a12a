// What a client says line by line: the script before STARTTLS, or of a visit to a
// mailbox.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace starling::bench {

// Says `say` (which may be nothing) and waits for a line that begins with `ends`.
struct Turn {
  std::string_view say;
  std::string_view ends;
};

struct Script {
  std::span<const Turn> turns;
  // Beginnings of lines that mean no.
  std::span<const std::string_view> refusals;
};

// The dialogue that ends in TLS, of a protocol that --starttls names; null for others.
const Script* StartTlsScript(std::string_view protocol);
// A visit inside TLS: smtp or imap. Its first turn is the greeting, which does not
// come again after STARTTLS.
const Script* MailScript(std::string_view protocol);

class Dialogue {
 public:
  enum class State { kSay, kWait, kDone, kFailed };

  void Begin(const Script& script, size_t turn = 0);
  State state() const { return state_; }
  // While kSay: what to send; then an answer is waited for.
  std::string_view Say();
  // While kWait: takes octets of the server up to where the state changes and
  // returns how many.
  size_t Take(std::string_view octets);

 private:
  void StartTurn();
  void LineEnded();

  const Script* script_ = nullptr;
  size_t turn_ = 0;
  State state_ = State::kDone;
  // The beginning of the line that is coming; the rest is of no interest.
  std::array<char, 16> line_{};
  size_t line_size_ = 0;
};

}  // namespace starling::bench
