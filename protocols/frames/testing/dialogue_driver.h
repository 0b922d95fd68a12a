// Runs one dialogue for tests and fuzz targets like a session: keeps unconsumed octets and
// gives them again with the next ones. Each call of the test drives one side.
//
// Not for: sessions with a plaintext leg, where both sides take turns (session_play.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "protocols/frames/testing/driven.h"

namespace starling {

class DialogueDriver final : public Driven {
 public:
  DialogueDriver(Create create, const DialogueOptions& options)
      : Driven(create, options, kMinOutputRoom) {}

  // Sends octets of one side, in pieces of `piece` octets. The next call gives the
  // dialogue's unconsumed octets again, even if it has no new ones.
  void Client(std::string_view octets, size_t piece = std::string_view::npos) {
    Feed(octets, piece, /*from_client=*/true);
  }
  void Backend(std::string_view octets, size_t piece = std::string_view::npos) {
    Feed(octets, piece, /*from_client=*/false);
  }

  void Event(EventKind kind, bool inside_tls = false, uint64_t capabilities = 0) {
    starling::Event event;
    event.kind = kind;
    event.inside_tls = inside_tls;
    event.capabilities = capabilities;
    Raise(event);
  }

  void Raise(const starling::Event& event) {
    // The session wipes the client's octets when TLS begins.
    if (event.kind == EventKind::kUpgraded) client_.clear();
    Tell(event);
  }

  void Start(uint64_t random) {
    starling::Event event;
    event.random = random;
    Raise(event);
  }

  // Goes on to the end of the handshake, and connects the fresh leg.
  void UpgradeAndConnect() {
    Event(EventKind::kUpgraded);
    Event(EventKind::kLegUp, /*inside_tls=*/true);
  }

  bool over() const { return verdict() == Verdict::kClose || verdict() == Verdict::kRelay; }

 private:
  void Feed(std::string_view octets, size_t piece, bool from_client) {
    std::string& held = from_client ? client_ : backend_;
    do {
      std::string_view part = octets.substr(0, std::min(piece, octets.size()));
      octets.remove_prefix(part.size());
      held += part;
      Drain(held, from_client);
    } while (!octets.empty() && !over() && verdict() != Verdict::kUpgrade);
    held += octets;
  }

  // Calls until the dialogue needs something new. It is called again with the same octets
  // only if its output was full.
  void Drain(std::string& held, bool from_client) {
    while (!held.empty() && !over() && verdict() != Verdict::kUpgrade) {
      if (Give(held, from_client) == 0 || verdict() != Verdict::kContinue) return;
    }
  }
};

}  // namespace starling
