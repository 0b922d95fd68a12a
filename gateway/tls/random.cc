#include "gateway/tls/random.h"

#include <openssl/rand.h>

namespace starling {

void RandomBytes(std::span<uint8_t> out) { RAND_bytes(out.data(), out.size()); }

uint64_t RandomU64() {
  uint64_t value;
  RandomBytes({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

}  // namespace starling
