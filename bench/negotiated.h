// The parameters that TLS negotiated. Figures of two servers are comparable only if these
// are equal.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>

namespace starling::bench {

class Negotiated {
 public:
  // Call while the connection is open.
  void Add(SSL* ssl);
  // Prints the parameters, or "mixed" where connections differ.
  void Print() const;

 private:
  size_t seen_ = 0;
  size_t retried_ = 0;   // connections with a HelloRetryRequest
  uint64_t packed_ = 0;  // the first one's version, cipher, group, signature, 16 bits each
  bool mixed_ = false;
};

}  // namespace starling::bench
