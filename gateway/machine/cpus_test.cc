// Quotas of CPU time on trees of files that the test makes up, as the kernel writes them.
#include "gateway/machine/cpus.h"

#include <gtest/gtest.h>

#include "gateway/machine/made_up_tree.h"

namespace starling {
namespace {

constexpr char kCgroupV2[] = "0::/kubepods/pod/main\n";
constexpr char kMountsV2[] =
    "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
constexpr char kOwn[] = "/sys/fs/cgroup/kubepods/pod/main/cpu.max";
constexpr char kPod[] = "/sys/fs/cgroup/kubepods/pod/cpu.max";
constexpr char kAll[] = "/sys/fs/cgroup/kubepods/cpu.max";

class CpusTest : public MadeUpTree {
 protected:
  void UseV2() {
    Write("/proc/self/cgroup", kCgroupV2);
    Write("/proc/self/mountinfo", kMountsV2);
  }
  Cpus Find(uint32_t allowed) { return Cpus::Find(allowed, root()); }
};

TEST_F(CpusTest, WithoutAControlGroupTheMaskCounts) {
  EXPECT_EQ(Find(6).usable(), 6u);
  EXPECT_FALSE(Find(6).throttled());
  EXPECT_EQ(Find(6).Source(), "affinity mask, 6 CPUs");
  EXPECT_EQ(Find(1).Source(), "affinity mask, 1 CPU");
  EXPECT_EQ(Find(0).usable(), 1u);
}

TEST_F(CpusTest, AQuotaRoundedUpIsTheLimit) {
  UseV2();
  const auto usable = [&](const char* text, uint32_t allowed = 8) {
    Write(kOwn, text);
    return Find(allowed).usable();
  };
  EXPECT_EQ(usable("150000 100000\n"), 2u);
  EXPECT_EQ(usable("200000 100000\n"), 2u);
  EXPECT_EQ(usable("200001 100000\n"), 3u);
  EXPECT_EQ(usable("5000 100000\n"), 1u);
  EXPECT_EQ(usable("1000 1000000\n"), 1u) << "at least one";
  EXPECT_EQ(usable("20000 5000\n"), 4u) << "another period";
  EXPECT_EQ(usable("150000 100000\n", 1), 1u) << "the mask is less";
  EXPECT_EQ(usable("18446744073709551615 1\n"), 8u);
}

TEST_F(CpusTest, SaysWhereTheNumberComesFrom) {
  UseV2();
  Write(kOwn, "150000 100000\n");
  EXPECT_TRUE(Find(8).throttled());
  EXPECT_EQ(Find(8).Source(), std::string("CPU quota, 1.5 (") + kOwn + ")");
  // Rounded up it is the same number, and the kernel still stops the threads.
  EXPECT_TRUE(Find(2).throttled());
  EXPECT_EQ(Find(2).usable(), 2u);
  EXPECT_FALSE(Find(1).throttled());
  EXPECT_EQ(Find(1).Source(), "affinity mask, 1 CPU");
  Write(kOwn, "800000 100000\n");
  EXPECT_FALSE(Find(8).throttled());
}

TEST_F(CpusTest, TheLeastOfAllGroupsAroundCounts) {
  UseV2();
  Write(kOwn, "600000 100000\n");
  Write(kPod, "max 100000\n");
  Write(kAll, "250000 100000\n");
  EXPECT_EQ(Find(8).usable(), 3u);
  EXPECT_EQ(Find(8).Source(), std::string("CPU quota, 2.5 (") + kAll + ")");
  Write(kPod, "100000 100000\n");
  EXPECT_EQ(Find(8).usable(), 1u);
  Write("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(Find(8).Source(), "CPU quota, 0.5 (/sys/fs/cgroup/cpu.max)") << "a container's root";
}

TEST_F(CpusTest, WhatIsNoQuotaLimitsNothing) {
  UseV2();
  for (const char* text :
       {"max 100000\n", "max\n", "", "\n", "150000\n", "150000 0\n", "0 100000\n", "-1 100000\n",
        "1.5 100000\n", "150000 x\n", "99999999999999999999999 100000\n", "garbage", "\0\1\2"}) {
    Write(kOwn, text);
    EXPECT_EQ(Find(8).usable(), 8u) << text;
    EXPECT_FALSE(Find(8).throttled()) << text;
  }
  MakeFolder(kPod);  // cannot be read as a file
  EXPECT_EQ(Find(8).usable(), 8u);
}

TEST_F(CpusTest, VersionOne) {
  Write("/proc/self/cgroup", "5:cpu,cpuacct:/a/b\n4:memory:/m\n1:cpuset:/\n0::/\n");
  Write("/proc/self/mountinfo",
        "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  const std::string own = "/sys/fs/cgroup/cpu,cpuacct/a/b/";
  Write(own + "cpu.cfs_quota_us", "-1\n");
  Write(own + "cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Find(8).usable(), 8u) << "no quota";
  Write(own + "cpu.cfs_quota_us", "350000\n");
  EXPECT_EQ(Find(8).usable(), 4u);
  EXPECT_EQ(Find(8).Source(), "CPU quota, 3.5 (" + own + "cpu.cfs_quota_us)");
  const std::string around = "/sys/fs/cgroup/cpu,cpuacct/a/";
  Write(around + "cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(Find(8).usable(), 4u) << "without a period there is no quota";
  Write(around + "cpu.cfs_period_us", "50000\n");
  EXPECT_EQ(Find(8).usable(), 2u);
}

// Whatever this machine has, it is read without harm.
TEST(CpusOfProcessTest, ThisMachine) {
  const Cpus cpus = Cpus::OfProcess();
  EXPECT_GE(cpus.usable(), 1u);
  EXPECT_LE(cpus.usable(), cpus.allowed);
  EXPECT_FALSE(cpus.Source().empty());
}

}  // namespace
}  // namespace starling
