// Log lines as text: logfmt or JSON, always printable ASCII, whatever a peer
// has sent. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/io/clock.h"

namespace starling {

// One line's fields, in order. Numbers stay numbers in JSON.
class LogLine {
 public:
  using Value = std::variant<std::string, uint64_t, double, bool>;

  // Begins with the fields time, level and msg.
  LogLine(WallMicros at, std::string_view level, std::string_view message);

  void Add(std::string_view key, std::string_view value) {
    fields_.emplace_back(key, std::string(value));
  }
  void AddNumber(std::string_view key, uint64_t value) { fields_.emplace_back(key, value); }
  void AddBool(std::string_view key, bool value) { fields_.emplace_back(key, value); }
  // A duration in microseconds, shown as milliseconds with three decimals.
  void AddMillis(std::string_view key, int64_t micros) {
    fields_.emplace_back(key, static_cast<double>(micros) / 1000);
  }

  // Values are quoted where logfmt needs it. In quotes: \" \\ \n \r \t, other
  // control octets and octets that are no UTF-8 as \xNN, characters beyond ASCII
  // as \uNNNN or \UNNNNNNNN.
  std::string Logfmt() const;
  // The same escapes as JSON knows them; octets that are no UTF-8 become U+FFFD.
  std::string Json() const;

 private:
  struct Field {
    Field(std::string_view key_in, Value value_in) : key(key_in), value(std::move(value_in)) {}
    std::string key;
    Value value;
  };
  std::vector<Field> fields_;
};

// "2026-01-31T23:59:59.123Z" (RFC 3339).
std::string Rfc3339(WallMicros at);

}  // namespace starling
