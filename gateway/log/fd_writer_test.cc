#include "gateway/log/fd_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"

namespace starling {
namespace {

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(fds_, O_CLOEXEC), 0); }
  ~Pipe() {
    CloseReader();
    close(fds_[1]);
  }
  int write_end() const { return fds_[1]; }
  void CloseReader() {
    if (fds_[0] >= 0) close(fds_[0]);
    fds_[0] = -1;
  }
  // What is there now.
  std::string Read() {
    std::string text(1 << 20, '\0');
    fcntl(fds_[0], F_SETFL, O_NONBLOCK);
    const ssize_t n = read(fds_[0], text.data(), text.size());
    text.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return text;
  }

 private:
  int fds_[2] = {-1, -1};
};

class FdWriterTest : public testing::TestWithParam<bool> {};

// A pipe that nobody reads: the writer returns, and everything arrives once,
// in order, when somebody does.
TEST_P(FdWriterTest, FullPipe) {
  Pipe pipe;
  FdWriter writer(pipe.write_end(), GetParam());
  std::string sent;
  bool blocked = false;
  for (int i = 0; i < 100'000 && !blocked; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    writer.Append(line);
    sent += line;
    blocked = writer.full() && !writer.Write();
  }
  ASSERT_TRUE(blocked);
  EXPECT_FALSE(writer.Write());
  std::string received;
  while (!writer.Write()) received += pipe.Read();
  received += pipe.Read();
  EXPECT_TRUE(received == sent);
  EXPECT_TRUE(writer.empty());
  EXPECT_EQ(writer.lost(), 0u);
  // Others who hold the same open file do not find it changed.
  EXPECT_EQ(fcntl(pipe.write_end(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_P(FdWriterTest, ReaderGone) {
  signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  FdWriter writer(pipe.write_end(), GetParam());
  pipe.CloseReader();
  writer.Append("one\ntwo\n");
  EXPECT_TRUE(writer.Write());
  EXPECT_TRUE(writer.empty());
  EXPECT_EQ(writer.lost(), 2u);
}

INSTANTIATE_TEST_SUITE_P(All, FdWriterTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Reopened" : "Asked"; });

TEST(FdWriter, SocketThatNobodyReads) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  {
    FdWriter writer(fds[1]);
    while (!writer.full()) writer.Append(std::string(1000, 'x') + "\n");
    while (writer.Write()) {
      while (!writer.full()) writer.Append(std::string(1000, 'x') + "\n");
    }
    close(fds[0]);
    EXPECT_TRUE(writer.Write());
    EXPECT_GT(writer.lost(), 0u);
  }
  close(fds[1]);
}

TEST(FdWriter, RegularFileKeepsItsPosition) {
  char path[] = "/tmp/fd_writer_test.XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  unlink(path);
  ASSERT_EQ(write(fd, "before\n", 7), 7);
  FdWriter writer(fd);
  writer.Append("after\n");
  EXPECT_TRUE(writer.Write());
  char text[64];
  EXPECT_EQ(std::string(text, static_cast<size_t>(pread(fd, text, sizeof text, 0))),
            "before\nafter\n");
  close(fd);
}

// A file at its limit, or on a full disk, takes a part of a line. Once there is room again, the
// next line does not become the end of that one.
TEST(FdWriter, ALineThatIsCutOffHasALineOfItsOwn) {
  signal(SIGXFSZ, SIG_IGN);
  char path[] = "/tmp/fd_writer_test.XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  unlink(path);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  FdWriter writer(fd);
  writer.Append("first\nsecond\nthird\n");
  EXPECT_TRUE(writer.Write());
  EXPECT_EQ(writer.lost(), 2u);
  writer.Append("fourth\n");
  EXPECT_TRUE(writer.Write());
  EXPECT_EQ(writer.lost(), 3u);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  writer.Append("fifth\n");
  EXPECT_TRUE(writer.Write());
  char text[64];
  EXPECT_EQ(std::string(text, static_cast<size_t>(pread(fd, text, sizeof text, 0))),
            "first\nseco\nfifth\n");
  close(fd);
}

TEST(FdWriter, NoDescriptor) {
  FdWriter writer(-1);
  writer.Append("lost\n");
  EXPECT_TRUE(writer.Write());
  EXPECT_EQ(writer.lost(), 1u);
}

}  // namespace
}  // namespace starling
