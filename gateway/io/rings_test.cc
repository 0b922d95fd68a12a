#include "gateway/io/rings.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace starling {
namespace {

// From now on this process gets `error` from io_uring_setup if it asks for more than `entries`.
void Forbid(uint32_t error, uint32_t entries = 0) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, entries, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(code), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    exit(100);
  }
}

// Runs in a process of its own. Prints what becomes of two rings.
[[noreturn]] void MakeUnder(RingWanted wanted, const std::function<void()>& forbid) {
  forbid();
  const absl::StatusOr<RingChoice> choice = ChooseRing(wanted, "auto");
  if (!choice.ok()) {
    fprintf(stderr, "refused: %s\n", std::string(choice.status().message()).c_str());
    exit(1);
  }
  const absl::StatusOr<Rings> made = MakeRings(wanted, *choice, {}, 2);
  if (!made.ok()) {
    fprintf(stderr, "failed: %s\n", std::string(made.status().message()).c_str());
    exit(2);
  }
  for (const std::unique_ptr<Ring>& ring : made->rings) {
    if (!ring->Start().ok()) exit(3);
  }
  fprintf(stderr, "%zu rings: %s\n", made->rings.size(), ToString(made->choice).c_str());
  exit(0);
}

class RingsTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<RingChoice> here = ChooseRing(RingWanted::kUring, "auto");
    ASSERT_TRUE(here.ok()) << "this test needs io_uring: " << here.status();
  }
};

TEST_F(RingsTest, TakesIoUringWhereItIsAllowed) {
  const absl::StatusOr<RingChoice> automatic = ChooseRing(RingWanted::kAuto, "none");
  ASSERT_TRUE(automatic.ok());
  EXPECT_EQ(automatic->kind, RingKind::kUring);
  EXPECT_EQ(automatic->reason, "available");
  EXPECT_EQ(automatic->obstacle, "");
  EXPECT_EQ(ToString(*automatic), "io_uring with features none");
  EXPECT_EQ(ChooseRing(RingWanted::kUring, "auto")->reason, "configured");
  EXPECT_FALSE(ChooseRing(RingWanted::kAuto, "sqpoll").ok());
}

TEST_F(RingsTest, TakesEpollWhereItIsConfigured) {
  const absl::StatusOr<RingChoice> choice = ChooseRing(RingWanted::kEpoll, "auto");
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(choice->kind, RingKind::kEpoll);
  EXPECT_EQ(choice->reason, "configured");
  EXPECT_EQ(choice->obstacle, "");
}

TEST_F(RingsTest, FallsBackWhereIoUringIsForbidden) {
  struct Case {
    uint32_t error;
    const char* said;
  };
  for (const Case& c : std::vector<Case>{{EPERM, "epoll .seccomp.: io_uring is not available"},
                                         {EACCES, "epoll .seccomp.*Permission denied"},
                                         {ENOSYS, "epoll .seccomp.*Function not implemented"},
                                         {EOPNOTSUPP, "epoll .seccomp.*Operation not supported"},
                                         {EINVAL, "epoll .old_kernel.*Invalid argument"},
                                         {ENOMEM, "epoll .memory_limit.*Cannot allocate"}}) {
    EXPECT_EXIT(MakeUnder(RingWanted::kAuto, [&] { Forbid(c.error); }), testing::ExitedWithCode(0),
                std::string("2 rings: ") + c.said);
    EXPECT_EXIT(MakeUnder(RingWanted::kUring, [&] { Forbid(c.error); }), testing::ExitedWithCode(1),
                "refused: io_uring is not available: io_uring_setup: ");
  }
}

// The probe's little ring fits into the limit, and a worker's does not.
TEST_F(RingsTest, FallsBackWhereARealRingGetsNoMemory) {
  EXPECT_EXIT(MakeUnder(RingWanted::kAuto, [] { Forbid(ENOMEM, 16); }), testing::ExitedWithCode(0),
              "2 rings: epoll .memory_limit.: io_uring: cannot make the queues.*RLIMIT_MEMLOCK");
  EXPECT_EXIT(MakeUnder(RingWanted::kUring, [] { Forbid(ENOMEM, 16); }), testing::ExitedWithCode(2),
              "failed: io_uring: cannot make the queues");
}

// The same limit would be in the way of epoll.
TEST_F(RingsTest, DoesNotFallBackWhereFilesAreShort) {
  EXPECT_EXIT(MakeUnder(RingWanted::kAuto, [] { Forbid(EMFILE); }), testing::ExitedWithCode(1),
              "refused: io_uring is not available: io_uring_setup: Too many open files");
  EXPECT_EXIT(MakeUnder(RingWanted::kAuto, [] { Forbid(EMFILE, 16); }), testing::ExitedWithCode(2),
              "failed: io_uring: cannot make the queues.*RLIMIT_NOFILE");
}

TEST_F(RingsTest, CountsWhatARingTakesOfTheProcess) {
  RingOptions options;
  EXPECT_GT(LockedMemory(options), 0u);
  EXPECT_EQ(OpenFilesOf(options, 3), 0u);
  options.kind = RingKind::kEpoll;
  EXPECT_EQ(LockedMemory(options), 0u);
  EXPECT_EQ(OpenFilesOf(options, 3), 3 * DescriptorTableSize(options));
}

}  // namespace
}  // namespace starling
