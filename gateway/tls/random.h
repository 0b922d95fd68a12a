// Random octets, from the TLS library's generator: the operating system's where
// the program runs, a deterministic one in the simulation.
#pragma once

#include <cstdint>
#include <span>

namespace starling {

void RandomBytes(std::span<uint8_t> out);
uint64_t RandomU64();

}  // namespace starling
