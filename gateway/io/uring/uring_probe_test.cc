#include "gateway/io/uring/uring_probe.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace starling::uring {
namespace {

struct Case {
  const char* name;
  int error;
  int sysctl;
  bool seccomp;
  bool sys_admin;
  const char* release;
  RingUnavailable cause;
  const char* remedy;
};

constexpr Case kCases[] = {
    {"switched off for all", EPERM, 2, false, true, "6.12.1", RingUnavailable::kSysctl,
     "kernel.io_uring_disabled=0"},
    {"switched off for all but a group", EPERM, 1, true, false, "6.12.1", RingUnavailable::kSysctl,
     "kernel.io_uring_group"},
    {"root may, so it was a filter", EPERM, 1, true, true, "6.12.1", RingUnavailable::kSeccomp,
     "seccomp"},
    {"Docker's profile", EPERM, 0, true, false, "6.12.1", RingUnavailable::kSeccomp,
     "seccompProfile"},
    {"the same on 6.1, which has no sysctl", EPERM, -1, true, false, "6.1.0-18-amd64",
     RingUnavailable::kSeccomp, "seccompProfile"},
    {"a profile that says ENOSYS", ENOSYS, 0, true, false, "6.12.1", RingUnavailable::kSeccomp,
     "io_uring_setup"},
    {"the same on 6.1", ENOSYS, -1, true, false, "6.1.0", RingUnavailable::kSeccomp, "seccomp"},
    {"qemu-user on a kernel that has it", ENOSYS, 0, false, true, "6.12.1",
     RingUnavailable::kSandbox, "qemu-user"},
    {"built without it", ENOSYS, -1, true, false, "6.12.1", RingUnavailable::kOldKernel,
     "CONFIG_IO_URING"},
    {"before io_uring", ENOSYS, -1, false, false, "4.19.0", RingUnavailable::kOldKernel, "4.19.0"},
    {"before the floor", EINVAL, -1, false, false, "5.10.0", RingUnavailable::kOldKernel,
     "Linux 6.1 or newer"},
    {"a sandbox", EOPNOTSUPP, -1, false, true, "4.4.0", RingUnavailable::kSandbox, "runsc"},
    {"a filter that answers like one", EOPNOTSUPP, 0, true, true, "6.12.1",
     RingUnavailable::kSeccomp, "seccompProfile"},
    {"locked memory", ENOMEM, 0, false, false, "6.1.0", RingUnavailable::kMemoryLimit,
     "65536 octets (RLIMIT_MEMLOCK)"},
    {"something else", EMFILE, 0, false, false, "6.1.0", RingUnavailable::kOther, "unexpected"},
};

TEST(UringProbeTest, TellsCausesApartAndNamesTheRemedy) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    ProbeFacts facts;
    facts.call = "io_uring_setup";
    facts.error = c.error;
    facts.sysctl = c.sysctl;
    facts.seccomp = c.seccomp;
    facts.sys_admin = c.sys_admin;
    facts.release = c.release;
    facts.memlock = 65536;
    const RingProbe probe = Explain(facts);
    EXPECT_EQ(probe.unavailable, c.cause);
    EXPECT_NE(probe.message.find(c.remedy), std::string::npos) << probe.message;
    EXPECT_NE(probe.message.find("io_uring_setup: "), std::string::npos) << "what was tried";
    EXPECT_EQ(probe.features.ToString(), "none");
  }
}

// Runs in a separate process, with a filter as container runtimes install it.
[[noreturn]] void ProbeUnderFilter(uint32_t error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(code), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    exit(100);
  }
  const RingProbe probe = ProbeRing();
  fprintf(stderr, "%s\n", probe.message.c_str());
  exit(static_cast<int>(probe.unavailable));
}

TEST(UringProbeTest, ARealFilterIsRecognized) {
  const RingProbe here = ProbeRing();
  if (here.unavailable != RingUnavailable::kNo) GTEST_SKIP() << here.message;
  EXPECT_EXIT(ProbeUnderFilter(EPERM),
              testing::ExitedWithCode(static_cast<int>(RingUnavailable::kSeccomp)), "seccomp");
}

TEST(UringProbeTest, ThisMachine) {
  const RingProbe probe = ProbeRing();
  if (probe.unavailable != RingUnavailable::kNo) {
    EXPECT_NE(probe.message.find(";"), std::string::npos) << "no remedy: " << probe.message;
    GTEST_SKIP() << probe.message;
  }
  EXPECT_NE(probe.message.find(probe.features.ToString()), std::string::npos);
  EXPECT_TRUE(probe.features.defer_taskrun) << "the floor of 6.1 has it";
}

}  // namespace
}  // namespace starling::uring
