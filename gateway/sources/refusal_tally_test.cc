#include "gateway/sources/refusal_tally.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

SourceKey Source(uint64_t number) { return {.high = number, .low = 0}; }

TEST(RefusalTally, NamesTheHeaviestAndForgets) {
  RefusalTally tally;
  for (int i = 0; i < 5; ++i) tally.Note(Source(1));
  for (int i = 0; i < 7; ++i) tally.Note(Source(2));
  tally.Note(Source(3));
  tally.NoteLeftOut();
  const RefusalTally::Report report = tally.Take(2);
  EXPECT_EQ(report.refused, 13u);
  EXPECT_EQ(report.left_out, 1u);
  ASSERT_EQ(report.heaviest.size(), 2u);
  EXPECT_EQ(report.heaviest[0].source, Source(2));
  EXPECT_EQ(report.heaviest[0].refused, 7u);
  EXPECT_EQ(report.heaviest[1].source, Source(1));
  const RefusalTally::Report nothing = tally.Take(2);
  EXPECT_EQ(nothing.refused, 0u);
  EXPECT_TRUE(nothing.heaviest.empty());
}

// However many others come between.
TEST(RefusalTally, AHeavySourceIsNeverMissed) {
  RefusalTally tally;
  for (uint64_t i = 0; i < 100'000; ++i) {
    tally.Note(Source(1'000 + i));
    if (i % 10 == 0) tally.Note(Source(1));
  }
  const RefusalTally::Report report = tally.Take(1);
  ASSERT_EQ(report.heaviest.size(), 1u);
  EXPECT_EQ(report.heaviest[0].source, Source(1));
  EXPECT_GE(report.heaviest[0].refused, 10'000u);
}

}  // namespace
}  // namespace starling
