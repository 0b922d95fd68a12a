// What a worker hands to the log thread: plain data, copied into a bounded
// ring. No pointer in it outlives the call; text is cut to its field.
//
// A log line never holds octets of mail, passwords or keys; what a peer chose
// (SNI) is escaped by the writer.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "gateway/io/clock.h"
#include "gateway/tls/tls_labels.h"
#include "protocols/endpoint.h"
#include "protocols/reason.h"

namespace starling {

enum class LogEvent : uint8_t { kEstablished, kEnded };

struct SessionRecord {
  LogEvent event = LogEvent::kEnded;
  bool tls = false;  // a handshake was completed; the fields below hold
  bool plaintext_leg = false;
  uint8_t tls_version = 0, tls_cipher = 0, tls_group = 0;  // indices (tls_labels.h)
  bool resumed = false;
  EndReason reason = EndReason::kNone;
  TlsFailure tls_failure = TlsFailure::kNone;
  uint16_t worker = 0;
  uint32_t listener = 0;         // index into the log's table of names
  uint32_t server = UINT32_MAX;  // the same; UINT32_MAX: no leg was opened
  uint16_t upstream_port = 0;    // our own port towards the backend; 0: Unix
  uint64_t session = 0;          // unique in the process
  WallMicros at = 0;             // of this event
  int64_t duration_us = 0;       // since accept
  int64_t handshake_us = 0;
  uint64_t downstream_in = 0, downstream_out = 0, upstream_in = 0, upstream_out = 0;
  Endpoint peer;  // the true client
  Endpoint local;
  uint8_t sni_length = 0;
  std::array<char, 96> sni{};

  void SetSni(std::string_view name) {
    sni_length = static_cast<uint8_t>(name.size() < sni.size() ? name.size() : sni.size());
    std::memcpy(sni.data(), name.data(), sni_length);
  }
};

}  // namespace starling
