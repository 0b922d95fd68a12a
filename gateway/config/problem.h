// Errors and warnings about a configuration file: the place and the text of each.
// The report collects them, so that the administrator sees all of them at once.
//
// Not for: problems of the machine (addresses in use, keys that cannot be read).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/limits.h"

namespace starling {

// A place in the file. Both count from 1, columns in octets.
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
  // A value of the wrong form: "found F, expected E", then what may help.
  void Error(YamlMark mark, std::string_view found, std::string_view expected,
             std::string_view hint = {});
  // Anything else. `text` says what is wrong and what would be right.
  void Error(YamlMark mark, std::string text);
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
