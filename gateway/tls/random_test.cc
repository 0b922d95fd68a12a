#include "gateway/tls/random.h"

#include <gtest/gtest.h>

#include <set>

namespace starling {
namespace {

TEST(RandomNumbersTest, AreFreshBeyondWhatIsFetchedAtOnce) {
  RandomNumbers a, b;
  std::set<uint64_t> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert({a.Next(), b.Next()});
  EXPECT_EQ(seen.size(), 2'000u);
  EXPECT_FALSE(seen.contains(0));
}

}  // namespace
}  // namespace starling
