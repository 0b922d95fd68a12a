// Plays a whole session of any protocol for tests and fuzz targets: both sides' octets, in
// pieces of any size, and the events between. What a dialogue does not consume is
// given again, as the gateway does. Breaking the contract ends the process.
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

class SessionPlay {
 public:
  using Create = Negotiator* (*)(void* storage, const DialogueOptions& options);

  SessionPlay(Create create, const DialogueOptions& options, size_t piece = std::string::npos,
              size_t room = kMinOutputRoom)
      : negotiator_(create(storage_, options)), piece_(piece), room_(room) {}
  virtual ~SessionPlay() { negotiator_->~Negotiator(); }
  SessionPlay(const SessionPlay&) = delete;
  SessionPlay& operator=(const SessionPlay&) = delete;

  void Raise(const Event& event) {
    if (over()) return;
    if (event.kind == EventKind::kUpgraded) client_.clear();
    if (event.kind == EventKind::kLegUp) {
      leg_ = true;
      opening_ = false;
    }
    hold_ = false;
    Call([&](Output& out) { return negotiator_->OnEvent(event, out); });
    Run();
  }
  void Raise(EventKind kind, bool inside_tls = false) {
    Event event;
    event.kind = kind;
    event.inside_tls = inside_tls;
    Raise(event);
  }
  void Client(std::string_view octets) { Feed(client_, octets, piece_); }
  void Backend(std::string_view octets) { Feed(backend_, octets, piece_); }
  void BackendAtOnce(std::string_view octets) { Feed(backend_, octets, octets.size()); }

  std::string TakeToClient() { return std::exchange(to_client_, {}); }
  std::string TakeToBackend() { return std::exchange(to_backend_, {}); }
  const std::string& client_left() const { return client_; }
  const std::string& backend_left() const { return backend_; }
  bool over() const {
    return verdict_ == Verdict::kClose || verdict_ == Verdict::kRelay ||
           (verdict_ == Verdict::kUpgrade && !inside_tls_);
  }
  // The plaintext leg was asked for and is not up.
  bool opening() const { return opening_; }
  Verdict verdict() const { return verdict_; }
  EndReason reason() const { return reason_; }
  // Code of the server's reply that ended the session.
  uint16_t reply() const { return reply_; }
  uint32_t signals() const { return signals_; }
  uint32_t attacks() const { return attacks_; }
  int offers() const { return offers_; }
  bool TakeUnderstood() { return std::exchange(understood_, false); }
  Patience patience() const { return patience_; }

  // TLS is up and the fresh leg connected.
  void EnterTls(const Endpoint* client = nullptr) {
    inside_tls_ = true;
    leg_ = false;
    backend_.clear();
    Raise(EventKind::kUpgraded);
    Event up;
    up.kind = EventKind::kLegUp;
    up.inside_tls = true;
    up.client = client;
    Raise(up);
  }

 protected:
  // What a protocol's own play does after each call of the negotiator.
  virtual void AfterCall() {}

  Negotiator& negotiator() { return *negotiator_; }

  void Run() {
    bool progress = true;
    while (progress && !over()) {
      progress = false;
      if (leg_ && !backend_.empty()) progress = Give(backend_, false);
      if (!over() && !hold_ && !client_.empty()) progress = Give(client_, true) || progress;
    }
  }

  template <typename F>
  Step Call(F&& call) {
    std::vector<uint8_t> client(room_), backend(room_);
    Output out{Writer(client), Writer(backend)};
    Step step = call(out);
    to_client_ += AsText(out.client.written());
    to_backend_ += AsText(out.backend.written());
    Require((step.verdict == Verdict::kClose) == (step.reason != EndReason::kNone),
            "a reason with kClose, and only then");
    verdict_ = step.verdict;
    if (verdict_ == Verdict::kOpenLeg) opening_ = true;
    reason_ = step.reason;
    reply_ = step.reply;
    signals_ |= step.signals;
    attacks_ |= step.attacks;
    offers_ += step.offered ? 1 : 0;
    understood_ |= step.understood;
    if (step.patience != Patience::kSame) patience_ = step.patience;
    if (verdict_ == Verdict::kContinue) hold_ = false;
    if (verdict_ == Verdict::kHold || verdict_ == Verdict::kOpenLeg) hold_ = true;
    AfterCall();
    return step;
  }

 private:
  static void Require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "contract broken: %s\n", what);
    std::abort();
  }

  void Feed(std::string& held, std::string_view octets, size_t piece) {
    while (!octets.empty()) {
      std::string_view part = octets.substr(0, std::min(piece, octets.size()));
      octets.remove_prefix(part.size());
      held += part;
      Run();
    }
  }

  bool Give(std::string& held, bool from_client) {
    // Memory of exactly this size, so that a sanitizer sees one octet too many.
    std::vector<uint8_t> in(held.begin(), held.end());
    Step step = Call([&](Output& out) {
      return from_client ? negotiator_->OnClient(in, out) : negotiator_->OnBackend(in, out);
    });
    Require(step.consumed <= in.size(), "consumed more than it was given");
    held.erase(0, step.consumed);
    return step.consumed > 0;
  }

  alignas(std::max_align_t) unsigned char storage_[kMaxNegotiatorSize];
  Negotiator* negotiator_;
  size_t piece_, room_;
  bool hold_ = false, opening_ = false, leg_ = false, inside_tls_ = false;
  std::string client_, backend_, to_client_, to_backend_;
  Verdict verdict_ = Verdict::kContinue;
  EndReason reason_ = EndReason::kNone;
  uint16_t reply_ = 0;
  uint32_t signals_ = 0, attacks_ = 0;
  int offers_ = 0;
  bool understood_ = false;
  Patience patience_ = Patience::kUsual;
};

}  // namespace starling
