// Durations and sizes as people write them, and the nearest known word to one
// that is not known.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace starling {

inline constexpr std::string_view kDurationForm =
    "a duration with its unit, as 500ms, 30s, 5m or 1h";
inline constexpr std::string_view kSizeForm = "a size, as 512, 64KiB or 1MiB";

// Decimal digits only, nothing before or behind; nullopt also when it is too large.
std::optional<uint64_t> ParseNumber(std::string_view text);
// Milliseconds; the unit is never left out. FormatDuration takes the largest
// unit that says it exactly.
std::optional<uint64_t> ParseDuration(std::string_view text);
std::string FormatDuration(uint64_t milliseconds);
// Octets.
std::optional<uint64_t> ParseSize(std::string_view text);
std::string FormatSize(uint64_t octets);

// The word that takes the fewest changes (letters put in, left out, replaced or
// swapped with their neighbour, in either case); empty if there are no words.
std::string_view Nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace starling
