// Random octets from the TLS library's generator. The program links the operating
// system's generator; the simulation links a deterministic one.
#pragma once

#include <cstdint>
#include <span>

namespace starling {

void RandomBytes(std::span<uint8_t> out);
uint64_t RandomU64();

}  // namespace starling
