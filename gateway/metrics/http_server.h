// A small HTTP/1.1 server for what is only ever read: /metrics, /healthz,
// /readyz. One thread, poll(2), no request bodies, one request a connection.
// Everything about it has a limit, and none of it touches a worker.
//
// Not for: anything that faces the Internet, TLS, or anything that changes state.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/io/socket_address.h"

namespace starling {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Called in the server's thread with the path, without its query. Nothing: there
// is no such path (404).
using HttpHandler = std::function<std::optional<HttpResponse>(std::string_view path)>;

class HttpServer {
 public:
  struct Limits {
    size_t connections = 32;      // more wait in the backlog until one is done
    size_t request = 2048;        // octets of the request's line and headers
    uint32_t deadline_ms = 5000;  // from accept to the last octet, all together
  };

  // Binds and listens at once, so that main can do it before it gives up its
  // privileges; serves nothing before Start(). An error names the address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const SocketAddress& address,
                                                            HttpHandler handler, Limits limits);
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const SocketAddress& address,
                                                            HttpHandler handler) {
    return Listen(address, std::move(handler), Limits());
  }
  // Stops the thread; connections that are being served are cut.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void Start();

  // Where it listens; with the port the kernel chose where 0 was asked for.
  const SocketAddress& address() const { return address_; }

 private:
  HttpServer(int listener, int wake, SocketAddress address, HttpHandler handler, Limits limits);
  struct Connection;
  void Run();
  void Serve(std::vector<Connection>& connections, const std::vector<pollfd>& polled);

  const int listener_;
  const int wake_;  // eventfd: the end
  const SocketAddress address_;
  const HttpHandler handler_;
  const Limits limits_;
  std::thread thread_;
};

}  // namespace starling
