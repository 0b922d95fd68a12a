// Decides from the memory in use whether sessions must end, or new ones be refused.
//
// Not for: which sessions (session/taking.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/memory/memory_limits.h"

namespace starling {

enum class MemoryLevel : uint8_t {
  kEnough,
  kRelief,   // sessions whose peer takes nothing end
  kRefusal,  // and new ones are refused
};

class MemoryWatch {
 public:
  struct Percent {
    uint32_t relief = 0;  // 0: never
    uint32_t refusal = 0;
  };

  // The tightest of `uses` decides. Memory hovers around a limit: a level is left only
  // kSlackPercent below it. True if the level has changed.
  bool Look(const std::vector<MemoryUse>& uses, const Percent& percent);

  // So much of the tightest must become free, to leave the level. 0: none need to end.
  uint64_t ToFree(const Percent& percent) const;

  // Memory may run short before a second has passed: it is near a level already, or has grown since
  // the look before by half of what is left until the first one.
  bool Hurries(const Percent& percent) const;

  MemoryLevel level() const { return level_; }
  const MemoryUse& tightest() const { return tightest_; }

  static constexpr uint32_t kSlackPercent = 3;

 private:
  MemoryLevel level_ = MemoryLevel::kEnough;
  MemoryUse tightest_;
  MemoryUse before_;  // the look before
};

}  // namespace starling
