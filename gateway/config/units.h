// Durations and sizes as people write them, and the known word that is nearest to an
// unknown one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace starling {

inline constexpr std::string_view kDurationForm =
    "a duration with its unit, such as 500ms, 30s, 5m or 1h";
inline constexpr std::string_view kSizeForm = "a size, such as 512, 64KiB or 1MiB";

// Accepts decimal digits only. Returns nullopt if the number is too large, or begins with a zero
// that it does not need: YAML and C read 0777 as 511, people may mean either.
std::optional<uint64_t> ParseNumber(std::string_view text);
// Whether the number at the beginning of the text has such a zero.
bool HasLeadingZero(std::string_view text);
// Milliseconds. The text must have a unit. FormatDuration uses the largest unit that is
// exact.
std::optional<uint64_t> ParseDuration(std::string_view text);
std::string FormatDuration(uint64_t milliseconds);
// Octets.
std::optional<uint64_t> ParseSize(std::string_view text);
std::string FormatSize(uint64_t octets);

// The known word that needs the fewest changes to become `word`: a letter inserted,
// deleted, replaced or swapped with its neighbour. Ignores case. Empty if each known word needs
// more changes than half of the letters of the longer word.
std::string_view Nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace starling
