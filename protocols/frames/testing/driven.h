// One dialogue with its words and decisions, which the drivers of tests and fuzz targets
// share. Each call must keep the contract, or the process ends.
//
// Not for: which octets and events come when (dialogue_driver.h, session_play.h).
#pragma once

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

class Driven {
 public:
  using Create = Negotiator* (*)(void* storage, const DialogueOptions& options);

  Driven(const Driven&) = delete;
  Driven& operator=(const Driven&) = delete;

  // Everything that the dialogue has said since the last call of this function.
  std::string TakeToClient() { return std::exchange(to_client_, {}); }
  std::string TakeToBackend() { return std::exchange(to_backend_, {}); }
  // Unconsumed octets of each side.
  const std::string& client_left() const { return client_; }
  const std::string& backend_left() const { return backend_; }

  Verdict verdict() const { return verdict_; }
  EndReason reason() const { return reason_; }
  // The code of the server's reply that ended the session.
  uint16_t reply() const { return reply_; }
  uint32_t signals() const { return signals_; }
  uint32_t attacks() const { return attacks_; }
  bool Saw(Signal s) const { return (signals_ >> static_cast<unsigned>(s) & 1) != 0; }
  bool Saw(Attack a) const { return (attacks_ >> static_cast<unsigned>(a) & 1) != 0; }
  int offers() const { return offers_; }
  // Whether the dialogue has understood a command since the last call of this function.
  bool TakeUnderstood() { return std::exchange(understood_, false); }
  Patience patience() const { return patience_; }

 protected:
  Driven(Create create, const DialogueOptions& options, size_t room)
      : negotiator_(create(storage_, options)), room_(room) {}
  virtual ~Driven() { negotiator_->~Negotiator(); }

  Negotiator& negotiator() { return *negotiator_; }
  // After each call, and before any other.
  virtual void AfterCall(const Step& /*step*/) {}

  void Tell(const Event& event) {
    check_.Enter(event);
    Call([&](Output& out) { return negotiator_->OnEvent(event, out); });
  }
  void Tell(DataChannelUser& user, const DataNews& news) {
    check_.Enter();
    Call([&](Output& out) { return user.OnData(news, out); });
  }

  // Makes one call, which may consume `given` octets.
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
    AfterCall(step);
    return step;
  }

  // Gives the dialogue the octets that one side has sent and that it has not consumed.
  // Returns how many it consumes.
  size_t Give(std::string& held, bool from_client) {
    // Memory of exactly this size, so that a sanitizer notices a read of one octet too
    // many.
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

  std::string client_, backend_;  // not consumed

 private:
  alignas(std::max_align_t) unsigned char storage_[kMaxNegotiatorSize];
  Negotiator* negotiator_;
  CallCheck check_;
  size_t room_;
  std::string to_client_, to_backend_;
  Verdict verdict_ = Verdict::kContinue;
  EndReason reason_ = EndReason::kNone;
  uint16_t reply_ = 0;
  uint32_t signals_ = 0, attacks_ = 0;
  int offers_ = 0;
  bool understood_ = false;
  Patience patience_ = Patience::kUsual;
};

}  // namespace starling
