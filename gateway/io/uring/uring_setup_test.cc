#include "gateway/io/uring/uring_setup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace starling::uring {
namespace {

class UringSetupTest : public testing::Test {
 protected:
  void SetUp() override {
    bool defer_taskrun = true;
    ASSERT_EQ(SetUpQueues(4, 8, &defer_taskrun, &queue_), 0);
    ASSERT_EQ(RegisterTable(&queue_, 8, 4), 0);
  }
  void TearDown() override { io_uring_queue_exit(&queue_); }

  // Submits one request and returns its result.
  int Submit(uint8_t operation, uint8_t flags) {
    io_uring_sqe* sqe = &queue_.sq.sqes[*queue_.sq.ktail & queue_.sq.ring_mask];
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = operation;
    sqe->flags = flags;
    sqe->fd = 0;
    io_uring_smp_store_release(queue_.sq.ktail, *queue_.sq.ktail + 1);
    const int entered = io_uring_enter(queue_.ring_fd, 1, 1, IORING_ENTER_GETEVENTS, nullptr);
    if (entered != 1) return entered == -1 ? -errno : entered;
    const io_uring_cqe cqe = queue_.cq.cqes[*queue_.cq.khead & queue_.cq.ring_mask];
    io_uring_cq_advance(&queue_, 1);
    return cqe.res;
  }

  io_uring queue_{};
};

TEST_F(UringSetupTest, NothingIsSubmittedBeforeTheRingIsEnabled) {
  EXPECT_EQ(Submit(IORING_OP_CLOSE, 0), -EBADFD);
}

TEST_F(UringSetupTest, RestrictionsLeaveOnlyWhatTheGatewaySubmits) {
  ASSERT_EQ(RegisterRestrictions(&queue_, RingFeatures::None()), 0);
  ASSERT_EQ(Enable(&queue_), 0);
  // The operation is allowed, although the index has no socket.
  EXPECT_EQ(Submit(IORING_OP_RECV, IOSQE_FIXED_FILE), -EBADF);
  for (uint8_t operation :
       {IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_UNLINKAT,
        IORING_OP_SENDMSG, IORING_OP_URING_CMD, IORING_OP_MSG_RING, IORING_OP_POLL_ADD}) {
    EXPECT_EQ(Submit(operation, 0), -EACCES) << static_cast<int>(operation);
  }
  EXPECT_EQ(Submit(IORING_OP_RECV, IOSQE_FIXED_FILE | IOSQE_ASYNC), -EACCES);

  char octet = 0;
  const iovec buffer{&octet, 1};
  EXPECT_EQ(io_uring_register_buffers(&queue_, &buffer, 1), -EACCES);
  const int standard_input = 0;
  EXPECT_EQ(io_uring_register_files_update(&queue_, 0, &standard_input, 1), -EACCES);
  EXPECT_NE(RegisterRestrictions(&queue_, RingFeatures()), 0) << "once is for ever";
}

TEST_F(UringSetupTest, AFeatureSwitchedOnIsAllowed) {
  RingFeatures features = RingFeatures::None();
  features.socket_options = true;
  ASSERT_EQ(RegisterRestrictions(&queue_, features), 0);
  ASSERT_EQ(Enable(&queue_), 0);
  EXPECT_NE(Submit(IORING_OP_URING_CMD, IOSQE_FIXED_FILE), -EACCES);
}

TEST_F(UringSetupTest, TheRingDescriptorCanBeGivenBackUnderRestrictions) {
  const int index = RegisterRingDescriptor(&queue_);
  ASSERT_GE(index, 0);
  ASSERT_EQ(RegisterRestrictions(&queue_, RingFeatures::None()), 0);
  ASSERT_EQ(Enable(&queue_), 0);
  UnregisterRingDescriptor(&queue_, index);
  // The place is free again; a thread has only 16.
  for (int i = 0; i < 32; ++i) {
    io_uring other{};
    bool defer_taskrun = false;
    ASSERT_EQ(SetUpQueues(4, 8, &defer_taskrun, &other), 0);
    const int again = RegisterRingDescriptor(&other);
    ASSERT_GE(again, 0) << i;
    UnregisterRingDescriptor(&other, again);
    io_uring_queue_exit(&other);
  }
}

TEST(LimitErrorTest, NamesTheLimitAndTheRemedy) {
  const std::pair<int, const char*> kCases[] = {{EMFILE, "RLIMIT_NOFILE"},
                                                {ENOMEM, "RLIMIT_MEMLOCK"}};
  for (const auto& [error, limit] : kCases) {
    const std::string message(LimitError("the table", error, 12345).message());
    EXPECT_NE(message.find(limit), std::string::npos) << message;
    EXPECT_NE(message.find("the table"), std::string::npos) << message;
    EXPECT_NE(message.find("12345"), std::string::npos) << message;
    EXPECT_NE(message.find("raise it"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace starling::uring
