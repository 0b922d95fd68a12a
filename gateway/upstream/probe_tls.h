// TLS of one probe, towards a backend's server: octets of the socket to plaintext and back.
//
// Not for: sockets and what is said inside (probing.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gateway/tls/tls_session.h"
#include "gateway/tls/upstream_tls.h"

namespace starling {

class ProbeTls {
 public:
  enum class Status : uint8_t {
    kGoesOn,
    kClosed,  // the server ended TLS, perhaps behind words
    kFailed,  // the handshake, or a record
  };

  // `out` is what the socket is to send; TLS appends its
  // own octets. Both must outlive this. The hello is in `out` when this returns kGoesOn.
  Status Begin(UpstreamTls& upstream, const UpstreamPeer& peer, std::vector<uint8_t>& out);
  // Takes octets of the socket, and appends what they hold to `plain`.
  Status Receive(std::span<const uint8_t> octets, std::vector<uint8_t>& out,
                 std::vector<uint8_t>& plain);
  // Call when the handshake is complete.
  Status Say(std::span<const uint8_t> plain, std::vector<uint8_t>& out);
  void SayGoodbye(std::vector<uint8_t>& out);  // close_notify

  bool up() const { return up_; }

 private:
  // Repeats `call` while it wants room, or has input left.
  template <typename Call>
  TlsResult Run(std::vector<uint8_t>& out, Call call);
  Status Shake(std::vector<uint8_t>& out);

  TlsSession session_;
  std::vector<uint8_t> in_;  // received, and not used yet
  bool up_ = false;
};

}  // namespace starling
