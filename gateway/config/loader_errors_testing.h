// Tables of wrong configurations, for tests of the loader's errors: each row's errors must have
// these texts, and their places.
#pragma once

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/loader_testing.h"
#include "protocols/registry.h"

namespace starling {

struct Row {
  std::string name;
  TestFile file;
  std::string errors;  // all of them, a line each
};

// If the error quotes a text first, the place is that of the text, with or without quotes.
inline void ExpectPlace(const Row& row, const Problem& problem) {
  constexpr std::string_view kFound = "found ";
  std::string_view text = problem.text;
  if (text.starts_with(kFound)) text.remove_prefix(kFound.size());
  if (!text.starts_with('"') || text.find("\\x") != std::string_view::npos) return;
  const std::string word(text.substr(1, text.find('"', 1) - 1));
  std::istringstream lines(row.file.Text());
  std::string line;
  for (int i = 0; i < problem.mark.line; ++i) std::getline(lines, line);
  line = line.substr(static_cast<size_t>(problem.mark.column) - 1);
  if (line.starts_with('"') || line.starts_with('\'')) line = line.substr(1);
  EXPECT_TRUE(line.starts_with(word) || row.name == "an address twice, written differently")
      << row.name << ": " << problem.text << " at " << line;
}

inline void Expect(const std::vector<Row>& table) {
  for (const Row& row : table) {
    const LoadResult result = Load(row.file);
    EXPECT_EQ(Lines(result.errors), row.errors) << row.name;
    EXPECT_FALSE(result.ok()) << row.name;
    EXPECT_TRUE(result.warnings.empty()) << row.name;
    for (const Problem& problem : result.errors) ExpectPlace(row, problem);
  }
}

// "smtp, lmtp, ...": all of them, in the order of the registry, and those of a policy.
inline std::string Protocols(bool opportunistic_only = false) {
  std::string names;
  for (const ProtocolRow& row : AllProtocols()) {
    if (opportunistic_only && !row.opportunistic) continue;
    names.append(names.empty() ? "" : ", ").append(row.name);
  }
  return names;
}

inline std::string Listener(std::string_view options) {
  return "listeners: [{name: in, " + std::string(options) + ", backend: b}]";
}

}  // namespace starling
