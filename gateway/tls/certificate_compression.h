// Certificate compression (RFC 8879): what clients that ask get instead of the
// plain message, made once for each certificate, not for each handshake. For tls/
// only.
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

// One a context: one thread.
class CompressedCertificates {
 public:
  enum class Algorithm : uint16_t { kZlib = 1, kBrotli = 2 };  // as on the wire

  // Forgets all when there are more: a context with so many certificates in use
  // compresses some of them again.
  static constexpr size_t kMaxEntries = 256;

  // The compressed form of `message`; null where that failed. Good until the next
  // call.
  const std::string* Get(Algorithm algorithm, std::span<const uint8_t> message);

  uint64_t runs() const { return runs_; }  // of a compressor

 private:
  using Key = std::pair<Algorithm, std::array<uint8_t, 32>>;

  std::map<Key, std::string> entries_;
  uint64_t runs_ = 0;
};

// Brotli first: its results are smaller. False on lack of memory.
bool AddCertificateCompression(SSL_CTX* ctx);

}  // namespace starling
