// Plays a session of any protocol for tests and fuzz targets, without the gateway: both sides'
// octets, in pieces of any size, and the events between. What the dialogue does not consume is
// given again, as the gateway does: whichever side it can go on with is next. Each call is held
// to the contract; breaking it ends the process.
//
// Not for: tables of sessions (dialogue_testing.h, leg_testing.h), fuzz inputs
// (dialogue_fuzzing.h, leg_fuzzing.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/contract/call_check.h"
#include "protocols/contract/data_channel.h"
#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

class DialogueDriver {
 public:
  using Create = Negotiator* (*)(void* storage, const DialogueOptions& options);

  // Octets come in pieces of `piece`, and the dialogue has `room` for what it says.
  DialogueDriver(Create create, const DialogueOptions& options, size_t piece = std::string::npos,
                 size_t room = kMinOutputRoom)
      : negotiator_(create(storage_, options)), piece_(piece), room_(room) {}
  virtual ~DialogueDriver() { negotiator_->~Negotiator(); }
  DialogueDriver(const DialogueDriver&) = delete;
  DialogueDriver& operator=(const DialogueDriver&) = delete;

  // --- what happens ---

  void Client(std::string_view octets) { Client(octets, piece_); }
  void Client(std::string_view octets, size_t piece) { Feed(client_, octets, piece); }
  // What comes before there is a leg waits for it.
  void Backend(std::string_view octets) { Backend(octets, piece_); }
  void Backend(std::string_view octets, size_t piece) { Feed(backend_, octets, piece); }

  // The gateway never gives octets of a leg that is not up; a dialogue must bear it.
  void BackendWithoutLeg(std::string_view octets) {
    backend_ += octets;
    Give(backend_, /*from_client=*/false);
  }

  // Nothing comes of it once the session is over.
  void Raise(const Event& event) {
    if (ended()) return;
    if (event.kind == EventKind::kUpgraded) {
      // The session wipes what it holds of the client when TLS begins, and closes the leg.
      client_.clear();
      backend_.clear();
      inside_tls_ = true;
      leg_ = false;
    }
    if (event.kind == EventKind::kLegUp) {
      leg_ = true;
      opening_ = false;
    }
    hold_ = false;
    check_.Enter(event);
    Call([&](Output& out) { return negotiator_->OnEvent(event, out); });
    Run();
  }
  void Raise(EventKind kind, bool inside_tls = false, uint64_t capabilities = 0) {
    Event event;
    event.kind = kind;
    event.inside_tls = inside_tls;
    event.capabilities = capabilities;
    Raise(event);
  }
  void Start(uint64_t random) {
    Event event;
    event.random = random;
    Raise(event);
  }
  // TLS is up and the fresh leg connected; behind implicit TLS that is all that there was.
  void EnterTls(const Endpoint* client = nullptr) {
    const bool upgrades = verdict() == Verdict::kUpgrade;
    inside_tls_ = true;
    if (upgrades) Raise(EventKind::kUpgraded);
    Event up;
    up.kind = EventKind::kLegUp;
    up.inside_tls = true;
    up.client = client;
    Raise(up);
  }

  // --- what has come of it ---

  // Everything said since the last call of this function.
  std::string TakeToClient() { return std::exchange(to_client_, {}); }
  std::string TakeToBackend() { return std::exchange(to_backend_, {}); }
  // Octets of either side that were not consumed.
  const std::string& client_left() const { return client_; }
  const std::string& backend_left() const { return backend_; }

  Verdict verdict() const { return verdict_; }
  EndReason reason() const { return reason_; }
  // Code of the server's reply that ended the session.
  uint16_t reply() const { return reply_; }
  uint32_t signals() const { return signals_; }
  uint32_t attacks() const { return attacks_; }
  bool Saw(Signal s) const { return (signals_ >> static_cast<unsigned>(s) & 1) != 0; }
  bool Saw(Attack a) const { return (attacks_ >> static_cast<unsigned>(a) & 1) != 0; }
  int offers() const { return offers_; }
  // A command was understood since the last call of this function.
  bool TakeUnderstood() { return std::exchange(understood_, false); }
  Patience patience() const { return patience_; }
  bool IsOwedAnswer() const { return negotiator_->IsOwedAnswer(); }

  bool ended() const { return verdict_ == Verdict::kClose || verdict_ == Verdict::kRelay; }
  // The dialogue is asked nothing more, or not before TLS is up.
  bool over() const { return ended() || (verdict_ == Verdict::kUpgrade && !inside_tls_); }
  // A plaintext leg was asked for and is not up.
  bool opening() const { return opening_; }

 protected:
  Negotiator& negotiator() { return *negotiator_; }
  // After each call, and before any other.
  virtual void AfterCall(const Step& /*step*/) {}

  void Tell(DataChannelUser& user, const DataNews& news) {
    check_.Enter();
    Call([&](Output& out) { return user.OnData(news, out); });
  }

  // One call, which may consume `given` octets.
  template <typename F>
  Step Call(F&& call, size_t given = 0) {
    std::vector<uint8_t> client(room_), backend(room_);
    Output out{Writer(client), Writer(backend)};
    const Step step = call(out);
    check_.Leave(step, given, out);
    to_client_ += AsText(out.client.written());
    to_backend_ += AsText(out.backend.written());
    verdict_ = step.verdict;
    reason_ = step.reason;
    reply_ = step.reply;
    signals_ |= step.signals;
    attacks_ |= step.attacks;
    offers_ += step.offered ? 1 : 0;
    understood_ |= step.understood;
    if (step.patience != Patience::kSame) patience_ = step.patience;
    if (step.verdict == Verdict::kOpenLeg) opening_ = true;
    if (step.verdict == Verdict::kCloseLeg) leg_ = false;
    if (step.verdict == Verdict::kContinue) hold_ = false;
    if (step.verdict == Verdict::kHold || step.verdict == Verdict::kOpenLeg) hold_ = true;
    AfterCall(step);
    return step;
  }

  // Goes on with whichever side the dialogue can read.
  void Run() {
    bool progress = true;
    while (progress && !over()) {
      progress = false;
      if (leg_ && !backend_.empty()) progress = Give(backend_, /*from_client=*/false) > 0;
      if (!over() && !hold_ && !client_.empty()) {
        progress = Give(client_, /*from_client=*/true) > 0 || progress;
      }
    }
  }

 private:
  void Feed(std::string& held, std::string_view octets, size_t piece) {
    do {
      const std::string_view part = octets.substr(0, std::min(piece, octets.size()));
      octets.remove_prefix(part.size());
      held += part;
      Run();
    } while (!octets.empty());
    // The session closes the leg, and drops what is left of it.
    if (verdict_ == Verdict::kCloseLeg) backend_.clear();
  }

  // The octets that one side has sent and the dialogue has not consumed, given to it. How many
  // it consumed.
  size_t Give(std::string& held, bool from_client) {
    // Memory of exactly this size, so that a sanitizer sees one octet too many.
    const std::vector<uint8_t> in(held.begin(), held.end());
    check_.Enter(in);
    const Step step = Call(
        [&](Output& out) {
          return from_client ? negotiator_->OnClient(in, out) : negotiator_->OnBackend(in, out);
        },
        in.size());
    held.erase(0, step.consumed);
    return step.consumed;
  }

  alignas(std::max_align_t) unsigned char storage_[kMaxNegotiatorSize];
  Negotiator* negotiator_;
  CallCheck check_;
  size_t piece_;
  size_t room_;
  std::string client_, backend_;  // not consumed
  std::string to_client_, to_backend_;
  Verdict verdict_ = Verdict::kContinue;
  EndReason reason_ = EndReason::kNone;
  uint16_t reply_ = 0;
  uint32_t signals_ = 0, attacks_ = 0;
  int offers_ = 0;
  bool understood_ = false;
  bool hold_ = false, opening_ = false, leg_ = false, inside_tls_ = false;
  Patience patience_ = Patience::kUsual;
};

}  // namespace starling
