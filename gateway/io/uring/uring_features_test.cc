#include "gateway/io/uring/uring_features.h"

#include <gtest/gtest.h>

#include <string>

namespace starling::uring {
namespace {

TEST(RingFeaturesTest, NamesThereAndBack) {
  EXPECT_EQ(RingFeatures().ToString(), "defer_taskrun,socket_options,fixed_fd_install,min_wait");
  EXPECT_EQ(RingFeatures::None().ToString(), "none");
  for (const char* text : {"none", "min_wait", "socket_options,min_wait", "defer_taskrun"}) {
    EXPECT_EQ(RingFeatures().Only(text)->ToString(), text);
  }
  EXPECT_EQ(RingFeatures().Only("auto")->ToString(), RingFeatures().ToString());
}

TEST(RingFeaturesTest, OnlyTakesAwayNeverAdds) {
  RingFeatures offered = RingFeatures::None();
  offered.min_wait = true;
  EXPECT_EQ(offered.Only("min_wait,socket_options")->ToString(), "min_wait");
  EXPECT_EQ(offered.Only("socket_options")->ToString(), "none");
  EXPECT_EQ(offered.Only("auto")->ToString(), "min_wait");
}

TEST(RingFeaturesTest, UnknownNamesAreListed) {
  for (const char* text :
       {"", "sqpoll", "min_wait,", "min_wait,sqpoll", "Min_wait", "none,min_wait"}) {
    auto features = RingFeatures().Only(text);
    ASSERT_FALSE(features.ok()) << text;
    EXPECT_NE(features.status().message().find("fixed_fd_install"), std::string::npos);
  }
}

}  // namespace
}  // namespace starling::uring
