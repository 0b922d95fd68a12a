// The frame of dialogues that read nothing from the server. Before TLS only the gateway
// answers, and once the fresh leg is up, everything is opaque. For LDAP, XMPP, Telnet, HTTP
// and PostgreSQL: inside TLS the client speaks first, or needs no greeting of the gateway.
//
// A protocol derives from this class and provides its words. The class has what is the same
// for all: the order of the phases, and how every event ends a session.
//
// Not for: protocols whose server greets (line_dialogue.h).
#pragma once

#include <cassert>
#include <cstdint>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/dialogue.h"

namespace starling {

class RelayedDialogue : public Negotiator {
 public:
  Step OnClient(ByteView in, Output& out) final;
  Step OnBackend(ByteView in, Output& out) override;
  Step OnEvent(const Event& event, Output& out) final;

 protected:
  // Octets of the client before TLS, as Negotiator::OnClient gets them.
  virtual void Read(ByteView in, Step& step, Writer& out) = 0;
  // Writes the protocol's words, or nothing if it has none at this point.
  virtual void SayRefusal(Refusal refusal, Writer& out) = 0;
  virtual void OnStart(const Event& /*event*/, Step& /*step*/, Writer& /*out*/) {}
  // Forgets what the client has said before TLS.
  virtual void OnUpgraded() {}
  // The fresh leg is up. By default the relay begins at once. Words for the server go to
  // `backend` first.
  virtual void OnLegUp(const Event& event, Step& step, Writer& backend);
  // The client has left, and has not asked for TLS.
  virtual void OnClientLeft(Step& /*step*/) {}
  // The gateway could not open the fresh leg, or lost it. By default it tells the client.
  virtual void OnLegFailed(Step& step, Writer& out);

  // A protocol that asks for Patience::kShort must override this. For others it is never
  // called.
  virtual void OnPatienceOver(Step& /*step*/, Writer& /*out*/) { assert(false); }

  // The go-ahead is written. TLS comes next.
  void Upgrade(Step& step);
  // The client's octets wait for a plaintext leg, or one to each server in turn (`verdict`); it
  // is not read again.
  void OpenLeg(Verdict verdict, Step& step);
  bool upgrading() const { return phase_ == Phase::kUpgrading; }
  bool opening() const { return phase_ == Phase::kOpening; }

 private:
  enum class Phase : uint8_t {
    kPlain,      // the gateway answers
    kOpening,    // a plaintext leg was asked for
    kUpgrading,  // the go-ahead is given
  };

  Phase phase_ = Phase::kPlain;
};

}  // namespace starling
