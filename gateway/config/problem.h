// What is wrong, or dangerous, in a configuration file: where it stands and
// what to say. Collected, so that a user sees all of it at once.
//
// Not for: problems of the machine (addresses in use, keys that cannot be read).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/limits.h"

namespace starling {

// A place in the file; both count from 1, columns in octets.
struct YamlMark {
  int line = 1;
  int column = 1;

  bool operator==(const YamlMark&) const = default;
};

struct Problem {
  YamlMark mark;
  std::string text;  // one line, without the place
};

// "file:line:column: text"
std::string ToString(const Problem& problem, std::string_view file);

class Report {
 public:
  // "read R, expected E", and what may help behind it.
  void Error(YamlMark mark, std::string_view read, std::string_view expected,
             std::string_view hint = {});
  void Warn(YamlMark mark, std::string text);

  bool failed() const { return !errors_.empty(); }
  bool full() const { return errors_.size() >= kMaxConfigErrors; }

  // Both in the order of the file.
  std::vector<Problem> TakeErrors();
  std::vector<Problem> TakeWarnings();

 private:
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
};

}  // namespace starling
