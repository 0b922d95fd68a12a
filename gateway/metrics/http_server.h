// A small HTTP/1.1 server (RFC 9112) for read-only pages: /metrics, /healthz, /readyz. It
// has one thread, uses poll(2), and takes one request without body per connection.
// Everything in it is bounded, and it never touches a worker.
//
// Not for: the Internet, TLS, or requests that change state.
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

// The server calls this in its thread. The query is what stands behind the path's "?". nullopt
// gives 404.
using HttpHandler =
    std::function<std::optional<HttpResponse>(std::string_view path, std::string_view query)>;

class HttpServer {
 public:
  struct Limits {
    size_t connections = 32;      // further clients wait in the backlog
    size_t request = 2048;        // octets of request line and headers
    uint32_t deadline_ms = 5000;  // from accept to the last octet
  };

  // Binds and listens at once, so that main can call it before it drops privileges.
  // Serves nothing before Start(). The error names the address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const SocketAddress& address,
                                                            HttpHandler handler, Limits limits);
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const SocketAddress& address,
                                                            HttpHandler handler) {
    return Listen(address, std::move(handler), Limits());
  }
  // Stops the thread and cuts open connections.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void Start();

  // The address of the listening socket; for port 0, with the port that the kernel chose.
  const SocketAddress& address() const { return address_; }

 private:
  HttpServer(int listener, int wake, SocketAddress address, HttpHandler handler, Limits limits);
  struct Connection;
  void Run();
  void Serve(std::vector<Connection>& connections, const std::vector<pollfd>& polled);

  const int listener_;
  const int wake_;  // eventfd: tells the thread to stop
  const SocketAddress address_;
  const HttpHandler handler_;
  const Limits limits_;
  std::thread thread_;
};

}  // namespace starling
