#include "protocols/proxy/crc32c.h"

#include <array>

namespace starling {

namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  constexpr uint32_t kReversedPolynomial = 0x82f63b78;
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1) != 0 ? kReversedPolynomial : 0);
    }
    table[i] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

}  // namespace

void Crc32c::Add(ByteView bytes) {
  for (uint8_t byte : bytes) state_ = (state_ >> 8) ^ kTable[(state_ ^ byte) & 0xff];
}

}  // namespace starling
