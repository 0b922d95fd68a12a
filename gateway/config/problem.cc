#include "gateway/config/problem.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace starling {
namespace {

std::vector<Problem> Sorted(std::vector<Problem> problems) {
  std::sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.mark.line, a.mark.column, a.text) <
           std::tie(b.mark.line, b.mark.column, b.text);
  });
  return problems;
}

}  // namespace

std::string ToString(const Problem& problem, std::string_view file) {
  return std::string(file) + ":" + std::to_string(problem.mark.line) + ":" +
         std::to_string(problem.mark.column) + ": " + problem.text;
}

void Report::Error(YamlMark mark, std::string_view found, std::string_view expected,
                   std::string_view hint) {
  std::string text = "found ";
  text.append(found).append(", expected ").append(expected);
  if (!hint.empty()) text.append("; ").append(hint);
  Error(mark, std::move(text));
}

void Report::Error(YamlMark mark, std::string text) {
  if (full()) return;
  errors_.push_back({mark, std::move(text)});
  if (full()) errors_.back().text += "; there are more errors";
}

void Report::Warn(YamlMark mark, std::string text) { warnings_.push_back({mark, std::move(text)}); }

std::vector<Problem> Report::TakeErrors() { return Sorted(std::exchange(errors_, {})); }

std::vector<Problem> Report::TakeWarnings() { return Sorted(std::exchange(warnings_, {})); }

}  // namespace starling
