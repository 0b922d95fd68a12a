#include "gateway/log/messages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace starling {
namespace {

constexpr char kPage[] = "deploy/LOG.md";

std::string Table() {
  std::string table = "| level | message | keys | when |\n|---|---|---|---|\n";
  for (const LogMessageRow& row : kLogMessages) {
    const std::string keys = row.keys.empty() ? "" : "`" + std::string(row.keys) + "`";
    table.append("| ").append(NameOf(row.level)).append(" | `").append(row.text);
    table.append("` | ").append(keys).append(" | ").append(row.when).append(" |\n");
  }
  return table;
}

TEST(LogMessages, ThePageHasTheTable) {
  std::ifstream file(kPage);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(page.find("\n\n" + Table()), std::string::npos)
      << "the table of " << kPage << " must be:\n"
      << Table();
}

TEST(LogMessages, EachHasATextOfItsOwn) {
  std::set<std::string_view> texts;
  for (const LogMessageRow& row : kLogMessages) {
    EXPECT_TRUE(texts.insert(row.text).second) << row.text;
    EXPECT_TRUE(row.when.ends_with('.')) << row.text;
  }
}

}  // namespace
}  // namespace starling
