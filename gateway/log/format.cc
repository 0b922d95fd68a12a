#include "gateway/log/format.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>
#include <type_traits>
#include <utility>

#include "gateway/text/characters.h"
#include "nlohmann/json.hpp"

namespace starling {
namespace {

bool NeedsQuotes(std::string_view text) {
  return text.empty() || std::any_of(text.begin(), text.end(), [](char c) {
           return c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\';
         });
}

void AppendHex(std::string& out, const char* format, uint32_t code) {
  char text[16];
  out.append(text, static_cast<size_t>(std::snprintf(text, sizeof text, format, code)));
}

void AppendCharacter(std::string& out, uint32_t code) {
  switch (code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (code >= ' ' && code < 0x7f) {
    out += static_cast<char>(code);
  } else if (code <= 0x7f) {
    AppendHex(out, "\\x%02x", code);
  } else {
    AppendHex(out, code <= 0xffff ? "\\u%04x" : "\\U%08x", code);
  }
}

void AppendText(std::string& out, std::string_view text) {
  if (!NeedsQuotes(text)) {
    out += text;
    return;
  }
  out += '"';
  while (!text.empty()) {
    const std::optional<Character> c = NextCharacter(text);
    if (c) {
      AppendCharacter(out, c->code);
    } else {
      AppendHex(out, "\\x%02x", static_cast<uint8_t>(text[0]));
    }
    text.remove_prefix(c ? c->length : 1);
  }
  out += '"';
}

}  // namespace

LogLine::LogLine(WallMicros at, std::string_view level, std::string_view message) {
  fields_.reserve(32);
  Add("time", Rfc3339(at));
  Add("level", level);
  Add("msg", message);
}

std::string LogLine::Logfmt() const {
  std::string out;
  for (const Field& field : fields_) {
    if (!out.empty()) out += ' ';
    out += field.key;
    out += '=';
    if (const auto* text = std::get_if<std::string>(&field.value)) {
      AppendText(out, *text);
    } else if (const auto* number = std::get_if<uint64_t>(&field.value)) {
      out += std::to_string(*number);
    } else if (const auto* flag = std::get_if<bool>(&field.value)) {
      out += *flag ? "true" : "false";
    } else {
      char digits[64];
      const int n = std::snprintf(digits, sizeof digits, "%.3f", std::get<double>(field.value));
      out.append(digits, static_cast<size_t>(n));
    }
  }
  return out;
}

std::string LogLine::Json() const {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Field& field : fields_) {
    std::visit([&](const auto& value) { object[field.key] = value; }, field.value);
  }
  // ensure_ascii: no character of a peer's reaches a terminal as such.
  return object.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

std::string Rfc3339(WallMicros at) {
  constexpr int64_t kMicros = 1'000'000;
  const time_t seconds = static_cast<time_t>(at / kMicros - (at % kMicros < 0 ? 1 : 0));
  const int64_t rest = at - static_cast<int64_t>(seconds) * kMicros;
  tm utc{};
  gmtime_r(&seconds, &utc);
  char text[64];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char millis[16];
  std::snprintf(millis, sizeof millis, ".%03dZ", static_cast<int>(rest / 1000));
  return std::string(text, length) + millis;
}

}  // namespace starling
