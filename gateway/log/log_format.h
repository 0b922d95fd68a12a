// The two forms of a log line.
#pragma once

#include <cstdint>

namespace starling {

enum class LogFormat : uint8_t { kLogfmt, kJson };

}  // namespace starling
