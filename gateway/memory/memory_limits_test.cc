// With files as the kernel writes them.
#include "gateway/memory/memory_limits.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gateway/machine/made_up_tree.h"

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

TEST(MemoryLimitsTest, Numbers) {
  EXPECT_EQ(ParseLimit("268435456\n"), 268'435'456u);
  EXPECT_EQ(ParseLimit("max\n"), std::nullopt);
  EXPECT_EQ(ParseLimit("9223372036854771712\n"), std::nullopt) << "version 1's \"no limit\"";
  EXPECT_EQ(ParseLimit(""), std::nullopt);
  EXPECT_EQ(ParseLimit("12x\n"), std::nullopt);
  EXPECT_EQ(ParseLimit("99999999999999999999999\n"), std::nullopt);
  const char stat[] = "cache 4096\nactive_file 5\ninactive_file 77824\ntotal_inactive_file 81920\n";
  EXPECT_EQ(ParseKey(stat, "inactive_file"), 77'824u);
  EXPECT_EQ(ParseKey(stat, "total_inactive_file"), 81'920u);
  EXPECT_EQ(ParseKey(stat, "file"), 0u);
  EXPECT_EQ(ParseTcpPages("sockets: used 39\n"
                          "TCP: inuse 1 orphan 0 tw 2 alloc 9 mem 94\nUDP: inuse 0 mem 7\n"),
            94u);
  EXPECT_EQ(ParseTcpPages("UDP: inuse 0 mem 7\n"), std::nullopt);
  EXPECT_EQ(ParseTcpLimit("287898\t383867\t575796\n"), 575'796u);
  EXPECT_EQ(ParseTcpLimit("287898\t383867\n"), std::nullopt);
}

class MemoryFilesTest : public MadeUpTree {
 protected:
  // As "what used/limit".
  Folders Read() {
    Folders lines;
    for (const MemoryUse& use : MemoryLimits(root()).Read()) {
      lines.push_back(use.what + " " + std::to_string(use.used) + "/" + std::to_string(use.limit));
    }
    return lines;
  }
};

TEST_F(MemoryFilesTest, VersionTwo) {
  Write("/proc/self/cgroup", kCgroupV2);
  Write("/proc/self/mountinfo", kMountsV2);
  const std::string own = "/sys/fs/cgroup/system.slice/starling.service/";
  Write(own + "memory.max", "max\n");
  Write(own + "memory.high", "max\n");
  Write(own + "memory.current", "1000000\n");
  EXPECT_EQ(Read(), Folders{}) << "no limit";
  Write(own + "memory.max", "268435456\n");
  EXPECT_EQ(Read(), Folders{"cgroup 1000000/268435456"});
  Write(own + "memory.stat", "anon 900000\ninactive_file 60000\nactive_file 40000\n");
  EXPECT_EQ(Read(), Folders{"cgroup 900000/268435456"}) << "the cache of files goes when asked";
  Write(own + "memory.high", "200000000\n");
  EXPECT_EQ(Read(), Folders{"cgroup 900000/200000000"});
  Write("/sys/fs/cgroup/system.slice/memory.max", "300000000\n");
  Write("/sys/fs/cgroup/system.slice/memory.current", "290000000\n");
  EXPECT_EQ(Read(), (Folders{"cgroup 900000/200000000", "cgroup 290000000/300000000"}));
}

TEST_F(MemoryFilesTest, VersionOne) {
  Write("/proc/self/cgroup", kCgroupV1);
  Write("/proc/self/mountinfo", kMountsV1);
  const std::string own = "/sys/fs/cgroup/memory/group/inner/";
  Write(own + "memory.limit_in_bytes", "9223372036854771712\n");
  Write(own + "memory.usage_in_bytes", "5000000\n");
  Write(own + "memory.kmem.tcp.limit_in_bytes", "9223372036854771712\n");
  Write(own + "memory.kmem.tcp.usage_in_bytes", "0\n");
  EXPECT_EQ(Read(), Folders{});
  Write(own + "memory.limit_in_bytes", "268435456\n");
  Write(own + "memory.stat",
        "inactive_file 1\ntotal_inactive_file 700000\ntotal_active_file 300000\n");
  EXPECT_EQ(Read(), Folders{"cgroup 4000000/268435456"});
  Write(own + "memory.kmem.tcp.limit_in_bytes", "33554432\n");
  Write(own + "memory.kmem.tcp.usage_in_bytes", "4096\n");
  EXPECT_EQ(Read(), (Folders{"cgroup 4000000/268435456", "cgroup_tcp 4096/33554432"}));
}

TEST_F(MemoryFilesTest, TheKernelsLimitForTcp) {
  Write("/proc/net/sockstat", "TCP: inuse 1 orphan 0 tw 2 alloc 9 mem 94\n");
  EXPECT_EQ(Read(), Folders{}) << "without the limit there is nothing to compare with";
  Write("/proc/sys/net/ipv4/tcp_mem", "10\t20\t100\n");
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(Read(), Folders{"tcp " + std::to_string(94 * page) + "/" + std::to_string(100 * page)});
}

TEST_F(MemoryFilesTest, NoFilesNoLimits) { EXPECT_EQ(Read(), Folders{}); }

// Whatever this machine has, it is read without harm.
TEST(MemoryLimitsTest, ThisMachine) {
  for (const MemoryUse& use : MemoryLimits().Read()) EXPECT_GT(use.limit, 0u) << use.what;
}

}  // namespace
}  // namespace starling
