#include "gateway/metrics/http_server.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gateway/io/listen_socket.h"

namespace starling {
namespace {

using Clock = std::chrono::steady_clock;

// How long to pause accepting after descriptors or memory ran out.
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr int kBacklog = 64;
constexpr std::string_view kEndOfHeaders = "\r\n\r\n";

const char* ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

// RFC 9110 section 9.3.2: the answer to HEAD has the headers of the answer to GET.
std::string Render(const HttpResponse& response, bool with_body) {
  std::string out = "HTTP/1.1 ";
  out.append(std::to_string(response.status)).append(" ").append(ReasonPhrase(response.status));
  out.append("\r\nContent-Type: ").append(response.content_type);
  out.append("\r\nContent-Length: ").append(std::to_string(response.body.size()));
  out.append("\r\nCache-Control: no-store\r\nConnection: close\r\n");
  if (response.status == 405) out.append("Allow: GET, HEAD\r\n");
  out.append("\r\n");
  if (with_body) out += response.body;
  return out;
}

HttpResponse Plain(int status) {
  HttpResponse response;
  response.status = status;
  response.body = std::string(ReasonPhrase(status)) + "\n";
  return response;
}

// Path and query of a request's target: origin-form or absolute-form (RFC 9112 section 3.2).
std::pair<std::string_view, std::string_view> PathAndQuery(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    target.remove_prefix(std::min(target.size(), target.find('/', kScheme.size())));
  }
  const size_t end = std::min(target.find('?'), target.size());
  return {target.substr(0, end), target.substr(std::min(end + 1, target.size()))};
}

// Answers a request whose headers are complete.
std::string Answer(std::string_view request, const HttpHandler& handler) {
  const std::string_view line = request.substr(0, request.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last == first) {
    return Render(Plain(400), true);
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!version.starts_with("HTTP/") || target.find(' ') != std::string_view::npos) {
    return Render(Plain(400), true);
  }
  if (!version.starts_with("HTTP/1.")) return Render(Plain(505), true);
  const bool head = method == "HEAD";
  if (!head && method != "GET") return Render(Plain(405), true);
  const auto [path, query] = PathAndQuery(target);
  const std::optional<HttpResponse> response = handler(path, query);
  return Render(response ? *response : Plain(404), !head);
}

}  // namespace

// One client. The function that ends the connection closes `fd`.
struct HttpServer::Connection {
  enum class Phase : uint8_t { kRequest, kResponse, kLinger };

  int fd;
  Clock::time_point deadline;
  Phase phase = Phase::kRequest;
  std::string in{};
  std::string out{};
  size_t sent = 0;

  // These return false when the connection is over.
  bool OnReadable(size_t max_request, const HttpHandler& handler);
  bool Send();
  bool Respond(std::string response) {
    out = std::move(response);
    phase = Phase::kResponse;
    return Send();
  }
};

bool HttpServer::Connection::OnReadable(size_t max_request, const HttpHandler& handler) {
  char chunk[2048];
  const ssize_t n = recv(fd, chunk, sizeof chunk, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  if (phase == Phase::kLinger) return true;  // discarded
  in.append(chunk, static_cast<size_t>(n));
  const size_t end = in.find(kEndOfHeaders);
  if (end != std::string::npos && end + kEndOfHeaders.size() <= max_request) {
    return Respond(Answer(std::string_view(in).substr(0, end), handler));
  }
  if (end != std::string::npos || in.size() >= max_request)
    return Respond(Render(Plain(431), true));
  return true;
}

// Closing a socket with unread octets resets the connection, and the client might lose
// the answer. So Send shuts down the write half, and the server waits for the client's
// end.
bool HttpServer::Connection::Send() {
  while (sent < out.size()) {
    const ssize_t n = send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    sent += static_cast<size_t>(n);
  }
  phase = Phase::kLinger;
  return shutdown(fd, SHUT_WR) == 0;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(const SocketAddress& address,
                                                               HttpHandler handler, Limits limits) {
  const absl::StatusOr<int> fd = ListenOn(address, kBacklog);
  if (!fd.ok()) return fd.status();
  // Accept must not block when a client leaves between poll and accept.
  const bool nonblocking = fcntl(*fd, F_SETFL, O_NONBLOCK) == 0;
  const int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (!nonblocking || wake < 0 ||
      getsockname(*fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    const int error = errno;
    if (wake >= 0) close(wake);
    close(*fd);
    return absl::UnavailableError("cannot listen on " + address.ToString() + ": " +
                                  std::strerror(error));
  }
  return std::unique_ptr<HttpServer>(new HttpServer(
      *fd, wake, SocketAddress::FromKernel(reinterpret_cast<const sockaddr*>(&bound), length),
      std::move(handler), limits));
}

HttpServer::HttpServer(int listener, int wake, SocketAddress address, HttpHandler handler,
                       Limits limits)
    : listener_(listener),
      wake_(wake),
      address_(address),
      handler_(std::move(handler)),
      limits_(limits) {}

HttpServer::~HttpServer() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  close(listener_);
  close(wake_);
}

void HttpServer::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "metrics");
    Run();
  });
}

// Serves the connections that poll has reported or whose deadline has passed.
void HttpServer::Serve(std::vector<Connection>& connections, const std::vector<pollfd>& polled) {
  const Clock::time_point now = Clock::now();
  for (size_t i = 0; i < connections.size(); ++i) {
    Connection& c = connections[i];
    bool open = true;
    if (polled[i].revents != 0) {
      open = c.phase == Connection::Phase::kResponse ? c.Send()
                                                     : c.OnReadable(limits_.request, handler_);
    }
    if (open && now >= c.deadline) {
      // Sends the error as far as the socket accepts it at once.
      if (c.phase == Connection::Phase::kRequest) c.Respond(Render(Plain(408), true));
      open = false;
    }
    if (!open) {
      close(c.fd);
      c.fd = -1;
    }
  }
  std::erase_if(connections, [](const Connection& c) { return c.fd < 0; });
}

void HttpServer::Run() {
  std::vector<Connection> connections;
  std::vector<pollfd> polled;
  Clock::time_point accept_from = Clock::time_point::min();
  while (true) {
    const Clock::time_point start = Clock::now();
    const bool room = connections.size() < limits_.connections;
    const bool accepting = room && start >= accept_from;
    Clock::time_point next = room && !accepting ? accept_from : Clock::time_point::max();
    polled.clear();
    for (const Connection& c : connections) {
      const short events = c.phase == Connection::Phase::kResponse ? POLLOUT : POLLIN;
      polled.push_back({c.fd, events, 0});
      next = std::min(next, c.deadline);
    }
    polled.push_back({accepting ? listener_ : -1, POLLIN, 0});
    polled.push_back({wake_, POLLIN, 0});
    int timeout = -1;
    if (next != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - start).count();
      timeout = static_cast<int>(std::max<int64_t>(left, 0));
    }
    poll(polled.data(), polled.size(), timeout);
    if (polled.back().revents != 0) break;
    Serve(connections, polled);
    if (polled[polled.size() - 2].revents == 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const Clock::time_point now = Clock::now();
    if (fd >= 0) {
      connections.push_back({fd, now + std::chrono::milliseconds(limits_.deadline_ms)});
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      accept_from = now + kAcceptPause;  // the client stays in the backlog
    }
  }
  for (const Connection& c : connections) close(c.fd);
}

}  // namespace starling
