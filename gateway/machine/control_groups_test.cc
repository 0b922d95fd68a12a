// With files as the kernel writes them.
#include "gateway/machine/control_groups.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

// Debian 11 and newer: all controllers in one hierarchy.
constexpr char kCgroupV2[] = "0::/system.slice/starling.service\n";
constexpr char kMountsV2[] =
    "22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw\n"
    "30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";
// A hybrid system: version 2 is there, without the memory controller.
constexpr char kCgroupV1[] =
    "9:name=systemd:/\n5:cpu,cpuacct:/other\n4:hugetlb,memory:/group/inner\n0::/\n";
constexpr char kMountsV1[] =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,hugetlb,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

using Folders = std::vector<std::string>;

TEST(ControlGroupsTest, TheOwnGroupComesFirstAndThenThoseAroundIt) {
  const ControlGroups found = FindControlGroups("memory", kCgroupV2, kMountsV2);
  EXPECT_EQ(found.v2, (Folders{"/sys/fs/cgroup/system.slice/starling.service",
                               "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"}));
  EXPECT_EQ(found.v1, Folders{});
}

TEST(ControlGroupsTest, VersionOneIsFoundByItsController) {
  const ControlGroups found = FindControlGroups("memory", kCgroupV1, kMountsV1);
  EXPECT_EQ(found.v1, (Folders{"/sys/fs/cgroup/memory/group/inner", "/sys/fs/cgroup/memory/group",
                               "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(found.v2, Folders{"/sys/fs/cgroup/unified"});
}

TEST(ControlGroupsTest, EachControllerOfVersionOneHasItsOwnGroups) {
  const ControlGroups found = FindControlGroups("cpu", kCgroupV1, kMountsV1);
  EXPECT_EQ(found.v1, (Folders{"/sys/fs/cgroup/cpu,cpuacct/other", "/sys/fs/cgroup/cpu,cpuacct"}));
  EXPECT_EQ(FindControlGroups("cpuset", kCgroupV1, kMountsV1).v1, Folders{});
}

TEST(ControlGroupsTest, AContainerSeesAPartOfTheTree) {
  // Without a namespace of its own: the paths are those of the host.
  const char mounts[] = "30 22 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
  EXPECT_EQ(FindControlGroups("memory", "0::/docker/abc\n", mounts).v2, Folders{"/sys/fs/cgroup"});
  EXPECT_EQ(FindControlGroups("memory", "0::/docker/abc/sub\n", mounts).v2,
            (Folders{"/sys/fs/cgroup/sub", "/sys/fs/cgroup"}));
  EXPECT_EQ(FindControlGroups("memory", "0::/elsewhere\n", mounts).v2, Folders{"/sys/fs/cgroup"});
  EXPECT_EQ(FindControlGroups("memory", "0::/docker/abcd\n", mounts).v2, Folders{"/sys/fs/cgroup"});
  // With one.
  EXPECT_EQ(
      FindControlGroups("memory", "0::/\n", "30 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n")
          .v2,
      Folders{"/sys/fs/cgroup"});
}

TEST(ControlGroupsTest, NothingIsFoundWhereNothingIs) {
  for (const char* cgroup : {"", "\n", "nonsense", "1:2", kCgroupV2}) {
    for (const char* mounts : {"", "no dash here\n", " - \n"}) {
      const ControlGroups found = FindControlGroups("memory", cgroup, mounts);
      EXPECT_EQ(found.v2, Folders{});
      EXPECT_EQ(found.v1, Folders{});
    }
  }
}

TEST(ControlGroupsTest, DepthIsBounded) {
  std::string deep = "0::";
  for (int i = 0; i < 1'000; ++i) deep += "/x";
  EXPECT_EQ(FindControlGroups("memory", deep + "\n", kMountsV2).v2.size(), 16u);
}

}  // namespace
}  // namespace starling
