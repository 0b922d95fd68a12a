// What a worker hands to the log thread: plain data, copied into a bounded
// ring. No pointer in it outlives the call; text is cut to its field.
//
// A log line never holds octets of mail, passwords or keys; what a peer chose
// (SNI) is escaped by the writer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "gateway/io/clock.h"
#include "gateway/tls/tls_labels.h"
#include "protocols/contract/endpoint.h"
#include "protocols/contract/reason.h"

namespace starling {

enum class LogEvent : uint8_t { kPregreet, kEstablished, kEnded };

// Text that a peer chose, cut to its field.
template <size_t kSize>
struct RecordText {
  uint8_t length = 0;
  std::array<char, kSize> text{};

  void Set(std::string_view from) {
    length = static_cast<uint8_t>(from.size() < kSize ? from.size() : kSize);
    std::copy_n(from.data(), length, text.data());
  }
  std::string_view view() const { return {text.data(), length}; }
};

struct SessionRecord {
  LogEvent event = LogEvent::kEnded;
  bool tls = false;  // a handshake was completed; the fields below hold
  bool plaintext_leg = false;
  // Indices (tls_labels.h), and descriptions of alerts.
  uint8_t tls_version = 0, tls_cipher = 0, tls_group = 0, tls_signature = 0, tls_offered = 0;
  uint8_t alert_sent = kNoAlert, alert_received = kNoAlert;
  ClientCertificateResult client_certificate = ClientCertificateResult::kNotAsked;
  bool resumed = false;
  EndReason reason = EndReason::kNone;
  TlsFailure tls_failure = TlsFailure::kNone;
  UpstreamTlsOutcome upstream_tls;
  uint16_t worker = 0;
  uint32_t listener = 0;         // index into the log's table of names
  uint32_t server = UINT32_MAX;  // the same; UINT32_MAX: no leg was opened
  uint16_t upstream_port = 0;    // our own towards a backend without PROXY; 0: Unix
  uint16_t reply = 0;            // code of the server's reply that ended it; 0: none did
  uint64_t session = 0;          // unique in the process
  WallMicros at = 0;             // of this event
  int64_t duration_us = 0;       // since accept
  int64_t handshake_us = 0;
  uint64_t downstream_in = 0, downstream_out = 0, upstream_in = 0, upstream_out = 0;
  Endpoint peer;  // the true client
  Endpoint local;
  RecordText<96> sni;
  RecordText<64> client_name;  // of a certificate that was verified
  RecordText<64> client_issuer;
};

}  // namespace starling
