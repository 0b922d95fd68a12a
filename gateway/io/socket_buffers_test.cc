#include "gateway/io/socket_buffers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace starling {
namespace {

int Get(int fd, int level, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, option, &value, &length), 0);
  return value;
}

SocketBuffers Of(int fd) {
  return {.unsent = Get(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT),
          .send = Get(fd, SOL_SOCKET, SO_SNDBUF) / 2,  // the kernel doubles what was set
          .receive = Get(fd, SOL_SOCKET, SO_RCVBUF) / 2};
}

class SocketBuffersTest : public testing::Test {
 protected:
  void SetUp() override {
    listening_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listening_, 8), 0);
  }
  void TearDown() override { close(listening_); }

  // What a client that comes now gets.
  SocketBuffers OfNewcomer() {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    EXPECT_EQ(getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), length), 0);
    const int accepted = accept(listening_, nullptr, nullptr);
    const SocketBuffers found = Of(accepted);
    locked_ = Get(accepted, SOL_SOCKET, SO_BUF_LOCK);
    close(accepted);
    close(client);
    return found;
  }

  int listening_ = -1;
  int locked_ = -1;  // of the latest newcomer: sizes that do not adapt to the connection
};

TEST_F(SocketBuffersTest, AcceptedSocketsInheritThem) {
  const SocketBuffers wanted{.unsent = 20'000, .send = 30'000, .receive = 40'000};
  SetBuffers(listening_, wanted);
  EXPECT_EQ(OfNewcomer(), wanted);
  EXPECT_EQ(locked_, 3);
}

TEST_F(SocketBuffersTest, ByDefaultTheKernelChooses) {
  const SocketBuffers usual = OfNewcomer();
  ASSERT_EQ(locked_, 0);
  SetBuffers(listening_, {});
  EXPECT_EQ(OfNewcomer(), usual);
  EXPECT_EQ(locked_, 0);
}

TEST_F(SocketBuffersTest, TheKernelGetsItsChoiceBack) {
  const SocketBuffers usual = OfNewcomer();
  SetBuffers(listening_, {.unsent = 20'000, .send = 30'000, .receive = 40'000});
  SetBuffers(listening_, {.unsent = 0, .send = 0, .receive = 50'000});
  EXPECT_EQ(OfNewcomer(), (SocketBuffers{usual.unsent, usual.send, 50'000}));
  EXPECT_EQ(locked_, 2);
  SetBuffers(listening_, {});
  EXPECT_EQ(OfNewcomer(), usual);
  EXPECT_EQ(locked_, 0);
}

}  // namespace
}  // namespace starling
