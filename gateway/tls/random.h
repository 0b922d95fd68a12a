// Random octets from the TLS library's generator. The program links the operating
// system's generator; the simulation links a deterministic one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace starling {

void RandomBytes(std::span<uint8_t> out);
uint64_t RandomU64();

// Numbers that nobody can foretell, whatever others of them are known; fetched from the
// generator many at a time. One thread.
class RandomNumbers {
 public:
  uint64_t Next();

 private:
  std::array<uint64_t, 64> numbers_{};
  size_t left_ = 0;
};

}  // namespace starling
