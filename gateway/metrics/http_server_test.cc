// Tests the server with plain client sockets on loopback.
#include "gateway/metrics/http_server.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <latch>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace starling {
namespace {

class Client {
 public:
  explicit Client(const SocketAddress& address, bool connects = true)
      : fd_(socket(address.family(), SOCK_STREAM, 0)) {
    if (connects) Connect(address);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Connect(const SocketAddress& address) {
    connected_ = connect(fd_, address.get(), address.length()) == 0;
  }
  bool connected() const { return connected_; }
  void Send(std::string_view text) { send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // Everything until the server closes.
  std::string Read() {
    std::string text;
    char chunk[4096];
    for (ssize_t n; (n = recv(fd_, chunk, sizeof chunk, 0)) > 0;) {
      text.append(chunk, static_cast<size_t>(n));
    }
    return text;
  }

 private:
  int fd_;
  bool connected_ = false;
};

class HttpServerTest : public testing::Test {
 protected:
  void Serve(HttpServer::Limits limits = {}, const char* bind = "127.0.0.1:0") {
    auto server = HttpServer::Listen(
        SocketAddress::Parse(bind).value(),
        [this](std::string_view path, std::string_view) -> std::optional<HttpResponse> {
          HttpResponse response;
          if (path == "/big") response.body = big_;
          if (path == "/sad") response.status = 503;
          if (path == "/gone") return std::nullopt;
          if (path == "/huge") response.make_body = []() -> std::string { throw std::bad_alloc(); };
          if (path == "/slow") {
            response.make_body = [this] {
              go_.wait();
              return "page " + std::to_string(++pages_made_);
            };
          }
          if (path != "/big") response.body = std::string(path) + "\n";
          return response;
        },
        limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Start();
  }
  std::string Ask(std::string_view request) {
    Client client(server_->address());
    client.Send(request);
    return client.Read();
  }

  std::latch go_{1};  // /slow may go on
  int pages_made_ = 0;
  const std::string big_ = std::string(8 << 20, 'x');
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, StatusLines) {
  Serve();
  EXPECT_NE(server_->address().endpoint().port, 0);
  const struct {
    const char* request;
    const char* status;
  } kCases[] = {
      {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"GET /x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"HEAD /x HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"GET /sad HTTP/1.1\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n"},
      {"GET /gone HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
      {"POST /x HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
      {"get /x HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
      {"GET /x HTTP/2.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
      {"GET /x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET /x y HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
  };
  for (const auto& c : kCases) {
    EXPECT_TRUE(Ask(c.request).starts_with(c.status)) << c.request;
  }
}

TEST_F(HttpServerTest, BodyAndHeaders) {
  Serve();
  const std::string get = Ask("GET /x?query=1 HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(get.ends_with("\r\n\r\n/x\n")) << get;
  EXPECT_NE(get.find("\r\nContent-Length: 3\r\n"), std::string::npos);
  EXPECT_NE(get.find("\r\nConnection: close\r\n"), std::string::npos);
  const std::string head = Ask("HEAD /x HTTP/1.1\r\n\r\n");
  EXPECT_NE(head.find("\r\nContent-Length: 3\r\n"), std::string::npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  EXPECT_NE(Ask("DELETE /x HTTP/1.1\r\n\r\n").find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
  EXPECT_TRUE(Ask("GET http://host:1/abs HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n/abs\n"));
}

TEST_F(HttpServerTest, RequestOneOctetAtATime) {
  Serve();
  Client client(server_->address());
  for (const char c : std::string("GET /x HTTP/1.1\r\n\r\n")) client.Send({&c, 1});
  EXPECT_TRUE(client.Read().ends_with("/x\n"));
}

// A response larger than the socket buffer. Later octets from the client do not make the
// server reset the connection.
TEST_F(HttpServerTest, LargeBodyArrivesWhole) {
  Serve();
  Client client(server_->address());
  client.Send("GET /big HTTP/1.1\r\n\r\nand what nobody asked for");
  const std::string text = client.Read();
  const size_t body = text.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  EXPECT_TRUE(text.substr(body + 4) == big_);
}

TEST_F(HttpServerTest, OversizedRequest) {
  HttpServer::Limits limits;
  limits.request = 100;
  Serve(limits);
  const std::string start = "GET /x HTTP/1.1\r\nX: ";
  const std::string fits = start + std::string(96 - start.size(), 'a') + "\r\n\r\n";
  ASSERT_EQ(fits.size(), 100u);
  EXPECT_TRUE(Ask(fits).starts_with("HTTP/1.1 200 "));
  const std::string over = start + std::string(97 - start.size(), 'a') + "\r\n\r\n";
  EXPECT_TRUE(Ask(over).starts_with("HTTP/1.1 431 "));
  EXPECT_TRUE(Ask(std::string(100'000, 'a')).starts_with("HTTP/1.1 431 "));
}

TEST_F(HttpServerTest, SlowClientIsToldAndCut) {
  HttpServer::Limits limits;
  limits.deadline_ms = 30;
  Serve(limits);
  Client client(server_->address());
  client.Send("GET /x HTTP/1.1\r\nHost:");
  EXPECT_TRUE(client.Read().starts_with("HTTP/1.1 408 "));
  // A client that does not read: its connection ends before the body does.
  Client deaf(server_->address());
  deaf.Send("GET /big HTTP/1.1\r\n\r\n");
  Client other(server_->address());
  EXPECT_TRUE(other.Read().starts_with("HTTP/1.1 408 "));
  EXPECT_LT(deaf.Read().size(), big_.size());
}

// However long their deadline is, clients without a whole request make room for the next: the
// oldest first. A client whose answer is on its way stays.
TEST_F(HttpServerTest, MoreClientsThanPlaces) {
  HttpServer::Limits limits;
  limits.connections = 4;
  limits.deadline_ms = 600'000;
  Serve(limits);
  Client reader(server_->address());
  reader.Send("GET /big HTTP/1.1\r\n\r\n");
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 50; ++i) {
    silent.push_back(std::make_unique<Client>(server_->address()));
    if (i % 2 == 0) silent.back()->Send("GET /x HTTP/1.1\r\nHo");
  }
  EXPECT_TRUE(Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("/x\n"));
  EXPECT_EQ(silent[0]->Read(), "");
  const std::string text = reader.Read();
  EXPECT_EQ(text.size() - text.find("\r\n\r\n") - 4, big_.size());
}

// Readers that take nothing hold places too; whoever comes gets the one of the oldest.
TEST_F(HttpServerTest, MoreReadersThanPlaces) {
  HttpServer::Limits limits;
  limits.connections = 4;
  limits.deadline_ms = 600'000;
  Serve(limits);
  std::vector<std::unique_ptr<Client>> deaf;
  for (int i = 0; i < 20; ++i) {
    deaf.push_back(std::make_unique<Client>(server_->address()));
    deaf.back()->Send("GET /big HTTP/1.1\r\n\r\n");
  }
  EXPECT_TRUE(Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("/x\n"));
}

// While one page is being made, other pages are served; and all who wait for it get the next.
TEST_F(HttpServerTest, APageThatTakesLongDelaysNobody) {
  Serve();
  std::vector<std::unique_ptr<Client>> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(std::make_unique<Client>(server_->address()));
    waiting.back()->Send("GET /slow HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("/x\n"));
  }
  go_.count_down();
  EXPECT_TRUE(waiting[0]->Read().ends_with("\r\n\r\npage 1"));
  for (int i = 1; i < 8; ++i) EXPECT_TRUE(waiting[i]->Read().ends_with("\r\n\r\npage 2"));
  const std::string head = Ask("HEAD /slow HTTP/1.1\r\n\r\n");
  EXPECT_NE(head.find("\r\nContent-Length: 6\r\n"), std::string::npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
}

TEST_F(HttpServerTest, WithoutMemoryAPageIsRefused) {
  Serve();
  EXPECT_TRUE(Ask("GET /huge HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("/x\n"));
}

// Without a descriptor for another client, one that is idle gives its own.
TEST_F(HttpServerTest, WithoutDescriptors) {
  Serve();
  EXPECT_TRUE(Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("/x\n"));
  Client client(server_->address(), /*connects=*/false);
  Client idle(server_->address(), /*connects=*/false);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(0);
  close(next);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  idle.Connect(server_->address());
  client.Connect(server_->address());
  client.Send("GET /x HTTP/1.1\r\n\r\n");
  const std::string answer = client.Read();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(answer.ends_with("/x\n")) << answer;
}

TEST_F(HttpServerTest, ClientThatLeavesDoesNotMatter) {
  Serve();
  for (int i = 0; i < 10; ++i) {
    Client client(server_->address());
    client.Send("GET /big HTTP/1.1\r\n\r\n");
  }
  EXPECT_TRUE(Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("/x\n"));
}

TEST_F(HttpServerTest, Ipv6) {
  const auto server =
      HttpServer::Listen(SocketAddress::Parse("[::1]:0").value(),
                         [](std::string_view, std::string_view) { return std::nullopt; });
  if (!server.ok()) GTEST_SKIP() << server.status();
  (*server)->Start();
  Client client((*server)->address());
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.Read().starts_with("HTTP/1.1 404 "));
}

TEST_F(HttpServerTest, BindErrorNamesTheAddress) {
  const auto server =
      HttpServer::Listen(SocketAddress::Parse("192.0.2.1:9464").value(),
                         [](std::string_view, std::string_view) { return std::nullopt; });
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.status().message().find("192.0.2.1:9464"), std::string::npos) << server.status();
}

TEST_F(HttpServerTest, DestroyedWithoutStartAndWithClients) {
  auto idle = HttpServer::Listen(SocketAddress::Parse("127.0.0.1:0").value(),
                                 [](std::string_view, std::string_view) { return std::nullopt; });
  ASSERT_TRUE(idle.ok());
  idle->reset();
  Serve();
  Client client(server_->address());
  ASSERT_TRUE(client.connected());
  server_.reset();
  EXPECT_EQ(client.Read(), "");
}

}  // namespace
}  // namespace starling
