// Plays a whole session of any protocol for tests and fuzz targets: both sides' octets, in
// pieces of any size, and the events in between. Like the gateway, it gives unconsumed
// octets again, and serves whichever side the dialogue can go on with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "protocols/frames/testing/driven.h"

namespace starling {

class SessionPlay : public Driven {
 public:
  SessionPlay(Create create, const DialogueOptions& options, size_t piece = std::string::npos,
              size_t room = kMinOutputRoom)
      : Driven(create, options, room), piece_(piece) {}
  ~SessionPlay() override = default;

  void Raise(const Event& event) {
    if (over()) return;
    if (event.kind == EventKind::kUpgraded) client_.clear();
    if (event.kind == EventKind::kLegUp) {
      leg_ = true;
      opening_ = false;
    }
    hold_ = false;
    Tell(event);
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

  bool over() const {
    return verdict() == Verdict::kClose || verdict() == Verdict::kRelay ||
           (verdict() == Verdict::kUpgrade && !inside_tls_);
  }
  // The dialogue has asked for the plaintext leg, which is not up yet.
  bool opening() const { return opening_; }

  // TLS is up and the fresh leg connected; behind implicit TLS that is all that there was.
  void EnterTls(const Endpoint* client = nullptr) {
    const bool upgrades = verdict() == Verdict::kUpgrade;
    inside_tls_ = true;
    leg_ = false;
    backend_.clear();
    if (upgrades) Raise(EventKind::kUpgraded);
    Event up;
    up.kind = EventKind::kLegUp;
    up.inside_tls = true;
    up.client = client;
    Raise(up);
  }

 protected:
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

  void AfterCall(const Step& step) override {
    if (step.verdict == Verdict::kOpenLeg) opening_ = true;
    if (step.verdict == Verdict::kContinue) hold_ = false;
    if (step.verdict == Verdict::kHold || step.verdict == Verdict::kOpenLeg) hold_ = true;
  }

 private:
  void Feed(std::string& held, std::string_view octets, size_t piece) {
    while (!octets.empty()) {
      std::string_view part = octets.substr(0, std::min(piece, octets.size()));
      octets.remove_prefix(part.size());
      held += part;
      Run();
    }
  }

  size_t piece_;
  bool hold_ = false, opening_ = false, leg_ = false, inside_tls_ = false;
};

}  // namespace starling
