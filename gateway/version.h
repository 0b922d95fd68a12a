// The version of Starling: this is the only place that has it.
#pragma once

namespace starling {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace starling
