#include "gateway/memory/memory_watch.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

constexpr MemoryWatch::Percent kUsual{.relief = 85, .refusal = 95};

std::vector<MemoryUse> At(uint64_t percent) {
  return {{.what = "cgroup", .used = percent * 1'000'000, .limit = 100'000'000}};
}

TEST(MemoryWatchTest, LevelsRiseAtOnceAndFallWithSlack) {
  MemoryWatch watch;
  const auto level_at = [&](uint64_t percent) {
    watch.Look(At(percent), kUsual);
    return watch.level();
  };
  EXPECT_EQ(level_at(84), MemoryLevel::kEnough);
  EXPECT_EQ(level_at(86), MemoryLevel::kRelief);
  EXPECT_EQ(level_at(83), MemoryLevel::kRelief);
  EXPECT_EQ(level_at(96), MemoryLevel::kRefusal);
  EXPECT_EQ(level_at(93), MemoryLevel::kRefusal);
  EXPECT_EQ(level_at(90), MemoryLevel::kRelief);
  EXPECT_EQ(level_at(80), MemoryLevel::kEnough);
  EXPECT_EQ(level_at(84), MemoryLevel::kEnough) << "below the level again";
}

TEST(MemoryWatchTest, AChangeIsToldOnce) {
  MemoryWatch watch;
  EXPECT_FALSE(watch.Look(At(10), kUsual));
  EXPECT_TRUE(watch.Look(At(90), kUsual));
  EXPECT_FALSE(watch.Look(At(91), kUsual));
  EXPECT_TRUE(watch.Look(At(99), kUsual));
  EXPECT_TRUE(watch.Look(At(10), kUsual));
}

TEST(MemoryWatchTest, TheTightestDecides) {
  MemoryWatch watch;
  watch.Look({{.what = "tcp", .used = 10, .limit = 1'000},
              {.what = "queued", .used = 900, .limit = 1'000},
              {.what = "cgroup", .used = 1'000'000, .limit = 10'000'000}},
             kUsual);
  EXPECT_EQ(watch.level(), MemoryLevel::kRelief);
  EXPECT_EQ(watch.tightest().what, "queued");
}

TEST(MemoryWatchTest, SoMuchMustBecomeFree) {
  MemoryWatch watch;
  watch.Look(At(84), kUsual);
  EXPECT_EQ(watch.ToFree(kUsual), 0u);
  watch.Look(At(90), kUsual);
  EXPECT_EQ(watch.ToFree(kUsual), 8'000'000u) << "down to 82 percent";
  watch.Look(At(82), kUsual);
  EXPECT_EQ(watch.ToFree(kUsual), 0u);
  watch.Look(At(99), {.relief = 0, .refusal = 95});
  EXPECT_EQ(watch.level(), MemoryLevel::kRefusal);
  EXPECT_EQ(watch.ToFree({.relief = 0, .refusal = 95}), 0u);
}

TEST(MemoryWatchTest, ItHurriesNearALevelAndTowardsOne) {
  MemoryWatch watch;
  const auto hurries_at = [&](uint64_t percent) {
    watch.Look(At(percent), kUsual);
    return watch.Hurries(kUsual);
  };
  EXPECT_FALSE(hurries_at(10)) << "nothing to compare with";
  EXPECT_FALSE(hurries_at(20));
  EXPECT_FALSE(hurries_at(20));
  EXPECT_TRUE(hurries_at(50)) << "30 more, and 35 are left";
  EXPECT_FALSE(hurries_at(50));
  EXPECT_FALSE(hurries_at(40));
  EXPECT_TRUE(hurries_at(86));
  EXPECT_TRUE(hurries_at(86)) << "it stays near";
}

TEST(MemoryWatchTest, ZeroIsOff) {
  MemoryWatch watch;
  watch.Look(At(100), {.relief = 0, .refusal = 0});
  EXPECT_EQ(watch.level(), MemoryLevel::kEnough);
  watch.Look(At(100), {.relief = 0, .refusal = 95});
  EXPECT_EQ(watch.level(), MemoryLevel::kRefusal);
  watch.Look(At(100), {.relief = 85, .refusal = 0});
  EXPECT_EQ(watch.level(), MemoryLevel::kRelief);
  watch.Look({}, kUsual);
  EXPECT_EQ(watch.level(), MemoryLevel::kEnough);
}

}  // namespace
}  // namespace starling
