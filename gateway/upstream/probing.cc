#include "gateway/upstream/probing.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "gateway/limits.h"

namespace starling {
namespace {

// A Unix socket does not signal when its full backlog has room again.
constexpr std::chrono::milliseconds kBacklogRetry{50};
// How long to wait for the server's end of data after the goodbye.
constexpr std::chrono::seconds kLeave{1};

}  // namespace

Probing::Probing(const Server& server, const BackendConfig& backend, const ProbePlan& plan,
                 Clock::time_point now, Clock::time_point deadline)
    : server_(server), backend_(backend), plan_(plan), deadline_(deadline) {
  if (plan.ask) probe_ = plan.protocol->create_probe(storage_.data(), plan.options);
  fd_ = socket(server.address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ >= 0) {
    Connect(now);
  } else {
    phase_ = Phase::kOver;  // the gateway's own problem says nothing about the server
  }
}

Probing::~Probing() {
  if (probe_ != nullptr) probe_->~Probe();
  if (fd_ >= 0) close(fd_);
}

short Probing::events() const {
  if (phase_ == Phase::kConnecting) return POLLOUT;
  return static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT));
}

Probing::Clock::time_point Probing::wake_at() const { return std::min(deadline_, retry_at_); }

void Probing::Turn(short revents, Clock::time_point now) {
  if (now >= deadline_) {
    Dead();
    return;
  }
  if (phase_ == Phase::kConnecting) {
    if (now >= retry_at_) {
      Connect(now);
    } else if (retry_at_ == Clock::time_point::max() && revents != 0) {
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error == 0) {
        Connected(now);
      } else {
        Dead();
      }
    }
    return;
  }
  if ((revents & POLLOUT) != 0) Flush(now);
  if (phase_ != Phase::kOver && (revents & (POLLIN | POLLHUP | POLLERR)) != 0) Receive(now);
}

void Probing::Connect(Clock::time_point now) {
  retry_at_ = Clock::time_point::max();
  if (connect(fd_, server_.address.get(), server_.address.length()) == 0) {
    Connected(now);
  } else if (errno == EAGAIN) {
    retry_at_ = now + kBacklogRetry;
  } else if (errno != EINPROGRESS) {
    Dead();
  }
}

void Probing::Connected(Clock::time_point now) {
  phase_ = Phase::kTalking;
  std::array<uint8_t, kMaxProxyV2Out> header;
  Writer writer(header);
  // Without a source, the header says LOCAL or UNKNOWN, because no client is behind it.
  bool written = true;
  if (backend_.proxy == ProxyOut::kV1) written = WriteProxyV1(ProxyInfo{}, writer);
  if (backend_.proxy == ProxyOut::kV2) written = WriteProxyV2(ProxyInfo{}, backend_.tlvs, writer);
  if (written) out_.assign(writer.written().begin(), writer.written().end());
  Flush(now);
}

void Probing::Flush(Clock::time_point now) {
  while (!out_.empty()) {
    const ssize_t n = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) Dead();
      return;
    }
    out_.erase(out_.begin(), out_.begin() + n);
  }
  if (phase_ == Phase::kTalking && probe_ == nullptr && !greets()) Alive(now);
  if (phase_ == Phase::kLeaving && shutdown(fd_, SHUT_WR) != 0) phase_ = Phase::kOver;
}

void Probing::Receive(Clock::time_point now) {
  std::array<uint8_t, 4096> chunk;
  const ssize_t n = recv(fd_, chunk.data(), chunk.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    Dead();
    return;
  }
  if (phase_ == Phase::kLeaving) return;  // ignores the server's goodbye
  if (probe_ == nullptr) {
    Alive(now);
    Flush(now);
    return;
  }
  in_.insert(in_.end(), chunk.begin(), chunk.begin() + n);
  Understand(now);
}

void Probing::Understand(Clock::time_point now) {
  std::array<uint8_t, kMinOutputRoom> to_nobody;
  std::array<uint8_t, kMinOutputRoom> to_backend;
  Output output{Writer(to_nobody), Writer(to_backend)};
  const ProbeResult result = probe_->OnBackend(in_, output);
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(result.consumed));
  out_.insert(out_.end(), output.backend.written().begin(), output.backend.written().end());
  if (result.status == ProbeResult::Status::kBad || in_.size() > kMaxProbeInput) {
    Dead();
    return;
  }
  if (result.status == ProbeResult::Status::kDone) {
    capabilities_ = result.capabilities;
    Alive(now);
  }
  Flush(now);
}

void Probing::Alive(Clock::time_point now) {
  up_ = true;
  phase_ = Phase::kLeaving;
  deadline_ = std::min(deadline_, now + kLeave);
}

void Probing::Dead() {
  if (!up_.has_value()) up_ = false;
  phase_ = Phase::kOver;
}

}  // namespace starling
