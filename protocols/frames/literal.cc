#include "protocols/frames/literal.h"

#include <charconv>
#include <system_error>

#include "protocols/frames/dialogue.h"

namespace starling {

Literal ParseLiteral(std::string_view line) {
  if (!line.ends_with('}')) return {};
  size_t open = line.rfind('{');
  if (open == std::string_view::npos) return {};
  std::string_view digits = line.substr(open + 1, line.size() - open - 2);
  bool synchronizing = !digits.ends_with('+');
  if (!synchronizing) digits.remove_suffix(1);
  Literal literal{true, synchronizing, 0};
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), literal.size);
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) return {};
  if (error == std::errc::result_out_of_range) literal.size = UINT64_MAX;
  return literal;
}

bool HasBrokenLiteral(std::string_view line) {
  return line.ends_with(' ') && ParseLiteral(TrimEnd(line, kSpace)).present;
}

}  // namespace starling
