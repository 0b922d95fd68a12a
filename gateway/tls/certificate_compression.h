// Certificate compression (RFC 8879): clients that ask for it get the Certificate message
// compressed. Each message is compressed once, not in each handshake. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

namespace starling {

// Each context has one; for one thread.
class CompressedCertificates {
 public:
  enum class Algorithm : uint16_t { kZlib = 1, kBrotli = 2 };  // RFC 8879 section 7.3

  // The compressed form of `message`, valid until the next call; null if compression
  // failed.
  const std::string* Get(Algorithm algorithm, std::span<const uint8_t> message);

  uint64_t runs() const { return runs_; }  // how often a compressor ran; for tests

 private:
  using Key = std::pair<Algorithm, std::array<uint8_t, 32>>;

  std::map<Key, std::string> entries_;
  uint64_t runs_ = 0;
};

// Prefers brotli, whose results are smaller. False when memory ran out.
bool AddCertificateCompression(SSL_CTX* ctx);

}  // namespace starling
