// A small HTTP/1.1 server (RFC 9112) for read-only pages: /metrics, /healthz, /readyz. It
// has one thread for connections, uses poll(2), and takes one request without body per
// connection. Pages that take a while are made in a thread beside it (page_maker.h), so an answer
// about the gateway's health waits neither for a scrape nor for idle connections.
// Everything in it is bounded, and it never touches a worker.
//
// Not for: the Internet, TLS, or requests that change state.
#pragma once

#include <poll.h>

#include <chrono>
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
#include "gateway/metrics/page_maker.h"

namespace starling {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // If set, the server has the body of this page made in another thread, and answers 503 if there
  // is no memory for it.
  std::function<std::string()> make_body = {};
};

// The server calls this in its thread. The query is what stands behind the path's "?". nullopt
// gives 404.
using HttpHandler =
    std::function<std::optional<HttpResponse>(std::string_view path, std::string_view query)>;

class HttpServer {
 public:
  struct Limits {
    size_t connections = 32;      // a newcomer takes the place of an idle one
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
  void ServeAll(const std::vector<pollfd>& polled);
  bool Serve(Connection& c, short revents, const PageMaker::Made& made);
  void AcceptAll();
  int Accept();
  bool MakeRoom();

  const int listener_;
  const int wake_;  // eventfd: tells the thread to stop
  const SocketAddress address_;
  const HttpHandler handler_;
  const Limits limits_;
  std::vector<Connection> connections_;  // the oldest first
  std::chrono::steady_clock::time_point accept_from_{};
  int spare_ = -1;  // a descriptor to give away
  PageMaker pages_;
  std::thread thread_;
};

}  // namespace starling
