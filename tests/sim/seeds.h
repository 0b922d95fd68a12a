// Which seeds a test of many simulated runs tries, by its environment:
//
//   SIM_SEED=n     that seed alone
//   SIM_SEEDS=n    that many, from 1 (or from SIM_SEED) on
//   SIM_TRACE=1    prints what happens in the first run of each; 2: in both
#pragma once

#include <stdlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace starling::sim {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STARLING_SIM_SLOW
#endif
#endif

struct Seeds {
  uint64_t first;
  uint64_t count;
  uint64_t trace;
};

// `full`: how many without a wish. Under a sanitizer a sixth of it.
inline Seeds SeedsToRun(uint64_t full) {
  const auto wish = [](const char* name, uint64_t otherwise) {
    const char* const text = getenv(name);
    return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
  };
#ifdef STARLING_SIM_SLOW
  full /= 6;
#endif
  const bool one = getenv("SIM_SEED") != nullptr;
  return {.first = wish("SIM_SEED", 1),
          .count = wish("SIM_SEEDS", one ? 1 : full),
          .trace = wish("SIM_TRACE", 0)};
}

inline std::string Describe(uint64_t seed, const std::vector<std::string>& failures) {
  std::string text = "seed " + std::to_string(seed) + " (SIM_SEED=" + std::to_string(seed) +
                     " SIM_TRACE=1 shows it):";
  for (const std::string& failure : failures) text += "\n  " + failure;
  return text;
}

}  // namespace starling::sim
