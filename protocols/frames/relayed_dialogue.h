// The frame of dialogues that read nothing of the server's: before TLS the gateway alone
// answers, and once the fresh leg is up all is opaque. LDAP, XMPP, Telnet, HTTP and
// PostgreSQL: the client speaks first inside TLS, or has no use for a greeting of ours.
//
// A protocol derives from it and says its words. What is the same for all is here: the
// order of the phases, and how every event ends a session.
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
  // The protocol's words, or nothing where it has none at this point.
  virtual void SayRefusal(Refusal refusal, Writer& out) = 0;
  virtual void OnStart(const Event& /*event*/, Step& /*step*/, Writer& /*out*/) {}
  // What the client said before TLS is to be forgotten here.
  virtual void OnUpgraded() {}
  // The fresh leg; by default it is relayed at once. `backend`: what is said there first.
  virtual void OnLegUp(const Event& event, Step& step, Writer& backend);
  // The client has left, and is not on its way into TLS.
  virtual void OnClientLeft(Step& /*step*/) {}
  // The fresh leg could not be had, or was lost; by default the client is told.
  virtual void OnLegFailed(Step& step, Writer& out);

  // A protocol that asks for Patience::kShort overrides it; no other is called.
  virtual void OnPatienceOver(Step& /*step*/, Writer& /*out*/) { assert(false); }

  // The go-ahead has been written: TLS comes next.
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
