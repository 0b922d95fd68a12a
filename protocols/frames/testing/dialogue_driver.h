// Runs one dialogue for tests and fuzz targets as a session would: keeps what
// was not consumed, gives it again with what comes next, and holds the dialogue
// to its contract. Breaking the contract ends the process.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

class DialogueDriver {
 public:
  using Create = Negotiator* (*)(void* storage, const DialogueOptions& options);

  DialogueDriver(Create create, const DialogueOptions& options)
      : negotiator_(create(storage_, options)) {}
  ~DialogueDriver() { negotiator_->~Negotiator(); }
  DialogueDriver(const DialogueDriver&) = delete;
  DialogueDriver& operator=(const DialogueDriver&) = delete;

  // Octets of one side, in pieces of `piece` octets. What the dialogue holds back
  // is given again by the next call, even by one without octets.
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
    // The session wipes what it holds of the client when TLS begins.
    if (event.kind == EventKind::kUpgraded) client_.clear();
    Call([&](Output& out) { return negotiator_->OnEvent(event, out); }, 0);
  }

  void Start(uint64_t random) {
    starling::Event event;
    event.random = random;
    Call([&](Output& out) { return negotiator_->OnEvent(event, out); }, 0);
  }

  // To the end of the handshake and the connecting of the fresh leg.
  void UpgradeAndConnect() {
    Event(EventKind::kUpgraded);
    Event(EventKind::kLegUp, /*inside_tls=*/true);
  }

  // Everything said since the last call of this function.
  std::string TakeSaid() { return std::exchange(said_, {}); }
  std::string TakeSaidToBackend() { return std::exchange(said_to_backend_, {}); }
  // Octets of either side that were not consumed.
  const std::string& client_left() const { return client_; }
  const std::string& backend_left() const { return backend_; }

  Verdict verdict() const { return verdict_; }
  EndReason reason() const { return reason_; }
  uint32_t signals() const { return signals_; }
  uint32_t attacks() const { return attacks_; }
  bool Saw(Signal s) const { return (signals_ >> static_cast<unsigned>(s) & 1) != 0; }
  bool Saw(Attack a) const { return (attacks_ >> static_cast<unsigned>(a) & 1) != 0; }
  // A command was understood since the last call of this function.
  bool TakeUnderstood() { return std::exchange(understood_, false); }
  Patience patience() const { return patience_; }
  bool over() const { return verdict_ == Verdict::kClose || verdict_ == Verdict::kRelay; }

 private:
  static void Require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "contract broken: %s\n", what);
    std::abort();
  }

  void Feed(std::string_view octets, size_t piece, bool from_client) {
    std::string& held = from_client ? client_ : backend_;
    do {
      std::string_view part = octets.substr(0, std::min(piece, octets.size()));
      octets.remove_prefix(part.size());
      held += part;
      Drain(held, from_client);
    } while (!octets.empty() && !over() && verdict_ != Verdict::kUpgrade);
    held += octets;
  }

  // Calls until the dialogue wants something new. Only full output is a reason
  // to call again with the same octets.
  void Drain(std::string& held, bool from_client) {
    while (!held.empty() && !over() && verdict_ != Verdict::kUpgrade) {
      size_t consumed = Call(
          [&](Output& out) {
            // A copy of exactly this size, so that a sanitizer sees one octet too many.
            std::vector<uint8_t> in(held.begin(), held.end());
            return from_client ? negotiator_->OnClient(in, out) : negotiator_->OnBackend(in, out);
          },
          held.size());
      held.erase(0, consumed);
      if (consumed == 0 || verdict_ != Verdict::kContinue) return;
    }
  }

  template <typename F>
  size_t Call(F&& call, size_t given) {
    Require(!over(), "called after its end");
    std::vector<uint8_t> to_client(kMinOutputRoom), to_backend(kMinOutputRoom);
    Output out{Writer(to_client), Writer(to_backend)};
    Step step = call(out);
    Require(step.consumed <= given, "consumed more than it was given");
    Require((step.verdict == Verdict::kClose) == (step.reason != EndReason::kNone),
            "a reason with kClose, and only then");
    said_ += AsText(out.client.written());
    said_to_backend_ += AsText(out.backend.written());
    verdict_ = step.verdict;
    reason_ = step.reason;
    signals_ |= step.signals;
    attacks_ |= step.attacks;
    understood_ |= step.understood;
    if (step.patience != Patience::kSame) patience_ = step.patience;
    return step.consumed;
  }

  alignas(std::max_align_t) unsigned char storage_[kMaxNegotiatorSize];
  Negotiator* negotiator_;
  std::string client_, backend_, said_, said_to_backend_;
  Verdict verdict_ = Verdict::kContinue;
  EndReason reason_ = EndReason::kNone;
  uint32_t signals_ = 0;
  uint32_t attacks_ = 0;
  bool understood_ = false;
  Patience patience_ = Patience::kUsual;
};

}  // namespace starling
