#include "gateway/upstream/probing.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "gateway/limits.h"
#include "protocols/frames/greeting.h"

namespace starling {
namespace {

// A Unix socket does not signal when its full backlog has room again.
constexpr std::chrono::milliseconds kBacklogRetry{50};
// A server that has nothing to say is up if it keeps a connection so long.
constexpr std::chrono::milliseconds kSettle{200};
// How long to wait for the server's end of data after the goodbye.
constexpr std::chrono::seconds kLeave{1};

}  // namespace

Probing::Probing(const Target& target, Clock::time_point now, Clock::time_point deadline)
    : target_(target), deadline_(deadline) {
  const ProbePlan& plan = target.plan;
  if (plan.ask) probe_ = plan.protocol->create_probe(storage_.data(), plan.options);
  if (MakeSocket()) {
    Connect(now);
  } else {
    phase_ = Phase::kOver;
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

Probing::Clock::time_point Probing::wake_at() const {
  return std::min({deadline_, retry_at_, settled_at_});
}

void Probing::Turn(short revents, Clock::time_point now) {
  if (phase_ == Phase::kConnecting) {
    if (now >= deadline_) {
      Dead();
    } else if (now >= retry_at_) {
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
  if ((revents & POLLOUT) != 0) Flush();
  if (phase_ != Phase::kOver && (revents & (POLLIN | POLLHUP | POLLERR)) != 0) Receive(now);
  if (phase_ == Phase::kTalking && now >= settled_at_) Alive(now);
  if (phase_ != Phase::kOver && now >= deadline_) Dead();
}

// Sessions connect from there as well: perhaps the server lets in nobody else.
bool Probing::MakeSocket() {
  const SocketAddress& address = target_.server.address;
  fd_ = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  Endpoint source = SourceFor(target_.backend, address, target_.turn);
  if (source.family == Endpoint::Family::kNone) return true;
  source.port = 0;
  // The connect chooses the port, and so may share one with connections elsewhere.
  const int on = 1;
  setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const SocketAddress local = SocketAddress::From(source);
  return bind(fd_, local.get(), local.length()) == 0;
}

void Probing::Connect(Clock::time_point now) {
  retry_at_ = Clock::time_point::max();
  const SocketAddress& address = target_.server.address;
  if (connect(fd_, address.get(), address.length()) == 0) {
    Connected(now);
  } else if (errno == EAGAIN) {
    retry_at_ = now + kBacklogRetry;
  } else if (errno == EADDRNOTAVAIL || errno == ENOBUFS || errno == ENOMEM) {
    phase_ = Phase::kOver;
  } else if (errno != EINPROGRESS) {
    Dead();
  }
}

void Probing::Connected(Clock::time_point now) {
  std::array<uint8_t, kMaxProxyV2Out> header;
  Writer writer(header);
  // Without a source, the header says LOCAL or UNKNOWN, because no client is behind it.
  const BackendConfig& backend = target_.backend;
  bool written = true;
  if (backend.proxy == ProxyOut::kV1) written = WriteProxyV1(ProxyInfo{}, writer);
  if (backend.proxy == ProxyOut::kV2) written = WriteProxyV2(ProxyInfo{}, backend.tlvs, writer);
  if (written) out_.assign(writer.written().begin(), writer.written().end());
  if (target_.tls == nullptr) {
    BeginTalk(now);
  } else {
    phase_ = Phase::kSecuring;
    const UpstreamPeer peer{.server = target_.index,
                            .occupant = target_.server.occupant,
                            .name = target_.server.tls_name};
    if (tls_.emplace().Begin(*target_.tls, peer, out_) == ProbeTls::Status::kFailed) {
      Dead();
      return;
    }
  }
  Flush();
}

// Octets can pass. Where the client speaks first, the probe does.
void Probing::BeginTalk(Clock::time_point now) {
  phase_ = Phase::kTalking;
  const ProtocolRow* const protocol = target_.plan.protocol;
  if (target_.plan.must_speak) return;
  if (protocol != nullptr && protocol->read_greeting != nullptr) return;
  if (protocol != nullptr && protocol->first_words != nullptr) {
    std::array<uint8_t, kMinOutputRoom> words;
    Writer writer(words);
    protocol->first_words(target_.plan.options, writer);
    Say(writer.written());
    return;
  }
  settled_at_ = std::min(now + kSettle, deadline_);
}

void Probing::Say(std::span<const uint8_t> octets) {
  if (octets.empty()) return;
  if (!tls_) {
    out_.insert(out_.end(), octets.begin(), octets.end());
  } else if (tls_->Say(octets, out_) == ProbeTls::Status::kFailed) {
    Dead();
  }
}

void Probing::Flush() {
  while (!out_.empty()) {
    const ssize_t n = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n < 0) {
      // What the server said before it closed is read first.
      if (errno != EAGAIN && errno != EINTR) out_.clear();
      return;
    }
    out_.erase(out_.begin(), out_.begin() + n);
  }
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
  if (!Take({chunk.data(), static_cast<size_t>(n)}, now)) return;
  if (!in_.empty()) Understand(now);
  if (phase_ != Phase::kOver) Flush();
}

bool Probing::Take(std::span<const uint8_t> octets, Clock::time_point now) {
  if (!tls_) {
    in_.insert(in_.end(), octets.begin(), octets.end());
    return true;
  }
  const ProbeTls::Status status = tls_->Receive(octets, out_, in_);
  if (phase_ == Phase::kSecuring && tls_->up()) BeginTalk(now);
  if (status == ProbeTls::Status::kGoesOn) return phase_ != Phase::kOver;
  Flush();  // an alert
  if (status == ProbeTls::Status::kClosed && !in_.empty()) Understand(now);
  if (phase_ != Phase::kLeaving) Dead();
  return false;
}

void Probing::Understand(Clock::time_point now) {
  if (probe_ != nullptr) {
    AskOn(now);
    return;
  }
  const ProtocolRow* const protocol = target_.plan.protocol;
  GreetingStatus status = GreetingStatus::kWelcome;  // whatever it says
  if (protocol != nullptr && protocol->read_greeting != nullptr) {
    status = ReadGreeting(*protocol, in_);
  } else if (protocol != nullptr && protocol->read_answer != nullptr) {
    status = protocol->read_answer(in_);
    if (status == GreetingStatus::kNeedMore && in_.size() > kMaxProbeInput) Dead();
  }
  if (status == GreetingStatus::kWelcome) Alive(now);
  if (status == GreetingStatus::kRefusal || status == GreetingStatus::kOther) Dead();
}

void Probing::AskOn(Clock::time_point now) {
  std::array<uint8_t, kMinOutputRoom> to_nobody;
  std::array<uint8_t, kMinOutputRoom> to_backend;
  Output output{Writer(to_nobody), Writer(to_backend)};
  const ProbeResult result = probe_->OnBackend(in_, output);
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(result.consumed));
  Say(output.backend.written());
  if (result.status == ProbeResult::Status::kBad || in_.size() > kMaxProbeInput) {
    Dead();
    return;
  }
  if (result.status != ProbeResult::Status::kDone) return;
  capabilities_ = result.capabilities;
  Alive(now);
}

void Probing::Alive(Clock::time_point now) {
  if (phase_ == Phase::kOver) return;
  up_ = true;
  phase_ = Phase::kLeaving;
  settled_at_ = Clock::time_point::max();
  deadline_ = std::min(deadline_, now + kLeave);
  if (tls_) tls_->SayGoodbye(out_);
  Flush();
}

void Probing::Dead() {
  if (!up_.has_value()) up_ = false;
  phase_ = Phase::kOver;
}

}  // namespace starling
