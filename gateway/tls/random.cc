#include "gateway/tls/random.h"

#include <openssl/rand.h>

#include <utility>

namespace starling {

void RandomBytes(std::span<uint8_t> out) { RAND_bytes(out.data(), out.size()); }

uint64_t RandomU64() {
  uint64_t value;
  RandomBytes({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

uint64_t RandomNumbers::Next() {
  if (left_ == 0) {
    RandomBytes({reinterpret_cast<uint8_t*>(numbers_.data()), sizeof numbers_});
    left_ = numbers_.size();
  }
  // None is kept: what was given out may be a secret.
  return std::exchange(numbers_[--left_], 0);
}

}  // namespace starling
