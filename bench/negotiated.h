// What TLS settled on: figures of two servers can be compared only if it is the same.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>

namespace starling::bench {

class Negotiated {
 public:
  // While the connection is open.
  void Add(SSL* ssl);
  // The parameters that all connections had in common, or "mixed".
  void Print() const;

 private:
  size_t seen_ = 0;
  size_t retried_ = 0;   // by HelloRetryRequest
  uint64_t packed_ = 0;  // of the first: version, cipher, group, signature, 16 bits each
  bool mixed_ = false;
};

}  // namespace starling::bench
