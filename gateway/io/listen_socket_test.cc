#include "gateway/io/listen_socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace starling {
namespace {

SocketAddress Bound(int fd) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length), 0);
  return SocketAddress::FromKernel(reinterpret_cast<sockaddr*>(&storage), length);
}

int OptionOf(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_EQ(getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

TEST(ListenSocketTest, SiblingsShareOneAddress) {
  auto first = ListenOn(*SocketAddress::Parse("127.0.0.1:0"), 16);
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = ListenOn(Bound(*first), 16);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(Bound(*first).ToString(), Bound(*second).ToString());
  for (int fd : {*first, *second}) {
    EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    close(fd);
  }
}

TEST(ListenSocketTest, IPv6IsIPv6Only) {
  auto fd = ListenOn(*SocketAddress::Parse("[::]:0"), 16);
  if (!fd.ok()) GTEST_SKIP() << "no IPv6 here: " << fd.status();
  EXPECT_EQ(OptionOf(*fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  close(*fd);
}

TEST(ListenSocketTest, DataSocketsShareNoPort) {
  const Endpoint loopback{.family = Endpoint::Family::kV4, .port = 0, .ip = {127, 0, 0, 1}};
  uint32_t cursor = 0;
  const DataSocket any = ListenForData(loopback, 0, 0, &cursor);
  ASSERT_EQ(any.error, 0);
  EXPECT_EQ(Bound(any.os_fd).endpoint().port, any.port);
  EXPECT_EQ(cursor, 0u);
  EXPECT_EQ(OptionOf(any.os_fd, SOL_SOCKET, SO_REUSEPORT), 0);
  linger reset{};
  socklen_t length = sizeof(reset);
  ASSERT_EQ(getsockopt(any.os_fd, SOL_SOCKET, SO_LINGER, &reset, &length), 0);
  EXPECT_TRUE(reset.l_onoff == 1 && reset.l_linger == 0);
  // A range with only this port is exhausted; a range with one more port is not.
  EXPECT_EQ(ListenForData(loopback, any.port, any.port, &cursor).error, EADDRINUSE);
  close(any.os_fd);
  const DataSocket again = ListenForData(loopback, any.port, any.port, &cursor);
  EXPECT_EQ(again.error, 0);
  EXPECT_EQ(again.port, any.port);
  close(again.os_fd);
}

TEST(ListenSocketTest, ADataSocketElsewhereSaysWhy) {
  const Endpoint foreign{.family = Endpoint::Family::kV4, .port = 0, .ip = {192, 0, 2, 1}};
  uint32_t cursor = 0;
  const DataSocket none = ListenForData(foreign, 40000, 40009, &cursor);
  EXPECT_EQ(none.error, EADDRNOTAVAIL);
  EXPECT_EQ(none.os_fd, -1);
}

TEST(ListenSocketTest, AddressInUseIsNamedWithARemedy) {
  // A listening socket without SO_REUSEPORT, as another program would have it.
  const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const SocketAddress any = *SocketAddress::Parse("127.0.0.1:0");
  ASSERT_EQ(bind(other, any.get(), any.length()), 0);
  ASSERT_EQ(listen(other, 1), 0);
  auto fd = ListenOn(Bound(other), 16);
  ASSERT_FALSE(fd.ok());
  const std::string message(fd.status().message());
  EXPECT_NE(message.find(Bound(other).ToString()), std::string::npos) << message;
  EXPECT_NE(message.find("ss -ltnp"), std::string::npos) << message;
  close(other);
}

TEST(ListenSocketTest, ForeignAddressIsNamed) {
  auto fd = ListenOn(*SocketAddress::Parse("192.0.2.77:0"), 16);
  ASSERT_FALSE(fd.ok());
  EXPECT_NE(fd.status().message().find("no interface"), std::string::npos) << fd.status();
}

TEST(ListenSocketTest, UnixSocketLeftBehind) {
  // A relative path, because the path of the test's folder may be too long for a socket.
  ASSERT_EQ(chdir(testing::TempDir().c_str()), 0);
  const std::string path = "listen_test.sock";
  unlink(path.c_str());
  const SocketAddress address = *SocketAddress::Parse("unix:" + path);
  auto first = ListenOn(address, 16);
  ASSERT_TRUE(first.ok()) << first.status();
  close(*first);
  auto second = ListenOn(address, 16);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("left the file behind"), std::string::npos);
  unlink(path.c_str());
}

}  // namespace
}  // namespace starling
