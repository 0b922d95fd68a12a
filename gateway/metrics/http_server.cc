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
constexpr int kBacklog = 512;
// Established connections are served between two rounds of so many newcomers.
constexpr int kAcceptsPerTurn = 64;
// Before the clients, poll looks at the eventfds and the listening socket.
constexpr size_t kFirstClient = 3;
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

// The status line and the headers of an answer whose body has that size.
std::string HeadOf(int status, std::string_view content_type, size_t size) {
  std::string out = "HTTP/1.1 ";
  out.append(std::to_string(status)).append(" ").append(ReasonPhrase(status));
  out.append("\r\nContent-Type: ").append(content_type);
  out.append("\r\nContent-Length: ").append(std::to_string(size));
  out.append("\r\nCache-Control: no-store\r\nConnection: close\r\n");
  if (status == 405) out.append("Allow: GET, HEAD\r\n");
  return out.append("\r\n");
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

struct Answer {
  HttpResponse response;
  bool with_body = true;  // RFC 9110 section 9.3.2: the answer to HEAD has the headers of GET's
};

// The answer to a request whose headers are complete.
Answer AnswerTo(std::string_view request, const HttpHandler& handler) {
  const std::string_view line = request.substr(0, request.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last == first) return {Plain(400)};
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!version.starts_with("HTTP/") || target.find(' ') != std::string_view::npos) {
    return {Plain(400)};
  }
  if (!version.starts_with("HTTP/1.")) return {Plain(505)};
  const bool head = method == "HEAD";
  if (!head && method != "GET") return {Plain(405)};
  const auto [path, query] = PathAndQuery(target);
  std::optional<HttpResponse> response = handler(path, query);
  return {response ? *std::move(response) : Plain(404), !head};
}

}  // namespace

// One client. The function that ends the connection closes `fd`.
struct HttpServer::Connection {
  // kPage: the body is being made.
  enum class Phase : uint8_t { kRequest, kPage, kResponse, kLinger };

  int fd;
  Clock::time_point deadline;
  Phase phase = Phase::kRequest;
  std::string in{};
  uint64_t page_number = 0;  // kPage: the body that it waits for
  std::string content_type{};
  bool with_body = true;
  std::string head{};
  std::shared_ptr<const std::string> body{};
  size_t sent = 0;

  short events() const {
    if (phase == Phase::kPage) return 0;
    return phase == Phase::kResponse ? POLLOUT : POLLIN;
  }
  // These return false when the connection is over.
  bool OnReadable(size_t max_request, const HttpHandler& handler, PageMaker& pages);
  bool OnPage(const PageMaker::Made& made);
  bool Send();
  bool Respond(HttpResponse response) {
    return Respond(response.status, response.content_type,
                   std::make_shared<const std::string>(std::move(response.body)));
  }
  bool Respond(int status, std::string_view type, std::shared_ptr<const std::string> text) {
    head = HeadOf(status, type, text->size());
    if (with_body) body = std::move(text);
    phase = Phase::kResponse;
    return Send();
  }
};

bool HttpServer::Connection::OnReadable(size_t max_request, const HttpHandler& handler,
                                        PageMaker& pages) {
  char chunk[2048];
  const ssize_t n = recv(fd, chunk, sizeof chunk, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  if (phase == Phase::kLinger) return true;  // discarded
  in.append(chunk, static_cast<size_t>(n));
  const size_t end = in.find(kEndOfHeaders);
  if (end == std::string::npos && in.size() < max_request) return true;
  if (end == std::string::npos || end + kEndOfHeaders.size() > max_request) {
    return Respond(Plain(431));
  }
  Answer answer = AnswerTo(std::string_view(in).substr(0, end), handler);
  with_body = answer.with_body;
  if (!answer.response.make_body) return Respond(std::move(answer.response));
  content_type = std::move(answer.response.content_type);
  page_number = pages.Ask(std::move(answer.response.make_body));
  phase = Phase::kPage;
  return true;
}

bool HttpServer::Connection::OnPage(const PageMaker::Made& made) {
  if (phase != Phase::kPage || made.number < page_number) return true;
  return made.body == nullptr ? Respond(Plain(503)) : Respond(200, content_type, made.body);
}

// Closing a socket with unread octets resets the connection, and the client might lose
// the answer. So Send shuts down the write half, and the server waits for the client's
// end.
bool HttpServer::Connection::Send() {
  const std::string_view text = body == nullptr ? std::string_view() : *body;
  while (sent < head.size() + text.size()) {
    const std::string_view left =
        sent < head.size() ? std::string_view(head).substr(sent) : text.substr(sent - head.size());
    const int more = sent < head.size() && !text.empty() ? MSG_MORE : 0;
    const ssize_t n = send(fd, left.data(), left.size(), MSG_NOSIGNAL | more);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    sent += static_cast<size_t>(n);
  }
  body = nullptr;
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
      limits_(limits) {
  connections_.reserve(limits_.connections);
}

HttpServer::~HttpServer() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  for (const Connection& c : connections_) close(c.fd);
  if (spare_ >= 0) close(spare_);
  close(listener_);
  close(wake_);
}

void HttpServer::Start() {
  pages_.Start();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "metrics");
    Run();
  });
}

// What poll has reported of a connection, and what its deadline demands.
bool HttpServer::Serve(Connection& c, short revents, const PageMaker::Made& made) {
  bool open = c.OnPage(made);
  if (open && revents != 0) {
    switch (c.phase) {
      case Connection::Phase::kPage:  // the client has left
        open = (revents & (POLLHUP | POLLERR)) == 0;
        break;
      case Connection::Phase::kResponse:
        open = c.Send();
        break;
      default:
        open = c.OnReadable(limits_.request, handler_, pages_);
    }
  }
  if (!open || Clock::now() < c.deadline) return open;
  // Sends the error as far as the socket accepts it at once.
  if (c.phase == Connection::Phase::kRequest) c.Respond(Plain(408));
  return false;
}

// Closes the connection that is worth least: the oldest one that has not sent a whole request,
// then one that has its answer, then whichever has been here longest. So a newcomer, which may ask
// for the gateway's health, always has a place. False: no connection can be closed for it.
bool HttpServer::MakeRoom() {
  if (connections_.empty()) return false;
  auto victim = connections_.end();
  for (const auto phase : {Connection::Phase::kRequest, Connection::Phase::kLinger}) {
    victim = std::ranges::find(connections_, phase, &Connection::phase);
    if (victim != connections_.end()) break;
  }
  if (victim == connections_.end()) victim = connections_.begin();
  close(victim->fd);
  connections_.erase(victim);
  return true;
}

// -1: nobody is there, or the client stays in the backlog for now.
int HttpServer::Accept() {
  for (int tries = 0; tries < 2; ++tries) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)) {
      return fd;
    }
    // Without a descriptor the kernel says so even if nobody waits.
    pollfd waiting{listener_, POLLIN, 0};
    if (poll(&waiting, 1, 0) == 0) return -1;
    if (MakeRoom()) continue;
    if (spare_ < 0) break;
    close(std::exchange(spare_, -1));
  }
  accept_from_ = Clock::now() + kAcceptPause;
  return -1;
}

void HttpServer::AcceptAll() {
  for (int round = 0; round < kAcceptsPerTurn; ++round) {
    const int fd = Accept();
    if (fd < 0) return;
    if (connections_.size() == limits_.connections) MakeRoom();
    Connection& c = connections_.emplace_back(
        Connection{fd, Clock::now() + std::chrono::milliseconds(limits_.deadline_ms)});
    // The request is often there already: it is answered before the next client takes a place.
    if (!c.OnReadable(limits_.request, handler_, pages_)) {
      close(c.fd);
      connections_.pop_back();
    }
  }
}

void HttpServer::ServeAll(const std::vector<pollfd>& polled) {
  const PageMaker::Made made = pages_.last();
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& c = connections_[i];
    if (Serve(c, polled[kFirstClient + i].revents, made)) continue;
    close(c.fd);
    c.fd = -1;
  }
  std::erase_if(connections_, [](const Connection& c) { return c.fd < 0; });
}

void HttpServer::Run() {
  std::vector<pollfd> polled;
  polled.reserve(kFirstClient + limits_.connections);
  while (true) {
    // Kept for the moment when descriptors run out: one client at a time is served by it.
    if (spare_ < 0) spare_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const Clock::time_point start = Clock::now();
    const bool accepting = start >= accept_from_;
    Clock::time_point next = accepting ? Clock::time_point::max() : accept_from_;
    polled.assign({{wake_, POLLIN, 0},
                   {pages_.done_fd(), POLLIN, 0},
                   {accepting ? listener_ : -1, POLLIN, 0}});
    for (const Connection& c : connections_) {
      polled.push_back({c.fd, c.events(), 0});
      next = std::min(next, c.deadline);
    }
    int timeout = -1;
    if (next != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - start).count();
      timeout = static_cast<int>(std::max<int64_t>(left, 0));
    }
    poll(polled.data(), polled.size(), timeout);
    if (polled[0].revents != 0) return;
    eventfd_t count = 0;
    if (polled[1].revents != 0) eventfd_read(pages_.done_fd(), &count);
    ServeAll(polled);
    if (polled[2].revents != 0) AcceptAll();
  }
}

}  // namespace starling
