// SipHash-2-4 (Aumasson and Bernstein, 2012) of a few words. Its key is random for each process,
// so that nobody can choose addresses that fall into the cells of somebody else.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

namespace starling {

struct HashKey {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
};

namespace keyed_hash_internal {

struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  }
  void Take(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

}  // namespace keyed_hash_internal

// As of the words' octets, the lowest first.
inline uint64_t KeyedHash(const HashKey& key, std::initializer_list<uint64_t> words) {
  keyed_hash_internal::State state{key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
                                   key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
  for (const uint64_t word : words) state.Take(word);
  state.Take(uint64_t{words.size() * 8 & 0xff} << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace starling
