// Servers, a protocol and a recorder for tests of the prober.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/sync/mutex.h"
#include "gateway/upstream/prober.h"
#include "gtest/gtest.h"

namespace starling {

// Greeting "HI", question "ASK", answer "CAPS <digit>", goodbye "BYE".
class TestProbe final : public Probe {
 public:
  ProbeResult OnBackend(ByteView in, Output& out) override {
    ProbeResult result;
    const std::string_view text = AsText(in);
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return result;
    result.consumed = end + 1;
    if (!greeted_ && text.substr(0, end) == "HI") {
      greeted_ = true;
      EXPECT_TRUE(out.backend.Append("ASK\n"));
    } else if (greeted_ && text.starts_with("CAPS ") && end == 6) {
      result.status = ProbeResult::Status::kDone;
      result.capabilities = static_cast<uint64_t>(text[5] - '0');
      EXPECT_TRUE(out.backend.Append("BYE\n"));
    } else {
      result.status = ProbeResult::Status::kBad;
    }
    return result;
  }

 private:
  bool greeted_ = false;
};

// "HI" welcomes, "NO" refuses, and nothing else greets.
inline GreetingStatus ReadTestGreeting(ByteView in) {
  const std::string_view text = AsText(in);
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return GreetingStatus::kNeedMore;
  if (text.substr(0, end) == "HI") return GreetingStatus::kWelcome;
  return text.substr(0, end) == "NO" ? GreetingStatus::kRefusal : GreetingStatus::kOther;
}

inline ProtocolRow Row(bool server_first) {
  ProtocolRow row{};
  row.name = "test";
  row.opportunistic = true;
  row.server_first = server_first;
  if (server_first) row.read_greeting = ReadTestGreeting;
  row.create_probe = [](void* storage, const DialogueOptions&) -> Probe* {
    return new (storage) TestProbe;
  };
  return row;
}

inline ProtocolRow AlwaysAsked() {
  ProtocolRow row = Row(true);
  row.probe_under_require = true;
  return row;
}

inline const ProtocolRow kGreets = Row(true);
inline const ProtocolRow kAlwaysAsked = AlwaysAsked();
inline const ProtocolRow kSilent = Row(false);
inline const ProtocolRow kAsked = [] {
  ProtocolRow row = Row(false);
  row.first_words = [](const DialogueOptions&, Writer& out) { EXPECT_TRUE(out.Append("WHO\n")); };
  return row;
}();

// Serves one connection after another with `script` until it is destroyed.
class FakeServer {
 public:
  using Script = std::function<void(int fd)>;

  FakeServer(const std::string& address, Script script, int backlog = 16)
      : script_(std::move(script)) {
    const SocketAddress wanted = SocketAddress::Parse(address).value();
    fd_ = socket(wanted.family(), SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    EXPECT_EQ(bind(fd_, wanted.get(), wanted.length()), 0) << strerror(errno);
    EXPECT_EQ(listen(fd_, backlog), 0);
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &length);
    address_ = SocketAddress::FromKernel(reinterpret_cast<sockaddr*>(&bound), length);
    if (script_) thread_ = std::thread([this] { Run(); });
  }
  ~FakeServer() {
    shutdown(fd_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }
  const SocketAddress& address() const { return address_; }

 private:
  void Run() {
    for (int fd; (fd = accept(fd_, nullptr, nullptr)) >= 0;) {
      script_(fd);
      close(fd);
    }
  }

  Script script_;
  int fd_;
  SocketAddress address_;
  std::thread thread_;
};

// All processes share the abstract names, and tests run in parallel.
inline std::string UniqueName() {
  return "unix:@starling-prober-test-" + std::to_string(std::random_device()());
}

inline void Write(int fd, std::string_view text) {
  send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

inline std::string ReadAll(int fd) {
  std::string text;
  char chunk[512];
  for (ssize_t n; (n = recv(fd, chunk, sizeof chunk, 0)) > 0;) {
    text.append(chunk, static_cast<size_t>(n));
  }
  return text;
}

inline std::string ReadLine(int fd) {
  std::string line;
  for (char c; recv(fd, &c, 1, 0) == 1 && c != '\n';) line += c;
  return line;
}

inline void Until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

// Records the prober's reports, and waits for them.
class Changes {
 public:
  Prober::OnNews callback() {
    return [this](const BackendConfig&, const Server& server, Prober::News news) {
      constexpr const char* kWords[] = {" up", " down", " out of ports"};
      const MutexLock lock(mutex_);
      seen_.push_back(server.name + kWords[static_cast<size_t>(news)]);
    };
  }
  void WaitFor(const std::string& what) {
    Until([&] {
      const MutexLock lock(mutex_);
      return std::find(seen_.begin(), seen_.end(), what) != seen_.end();
    });
    const MutexLock lock(mutex_);
    seen_.clear();
  }
  size_t count() {
    const MutexLock lock(mutex_);
    return seen_.size();
  }

 private:
  Mutex mutex_;
  std::vector<std::string> seen_ ABSL_GUARDED_BY(mutex_);
};

// A prober of one backend, with the options of the test.
class ProberTest : public testing::Test {
 protected:
  void Begin(std::vector<SocketAddress> servers, ProbePlan plan, ProxyOut proxy = ProxyOut::kNone,
             std::vector<Endpoint> sources = {}) {
    configs_.clear();
    BackendConfig& config = configs_.emplace_back();
    config.name = "b";
    config.sources = std::move(sources);
    config.servers.assign(servers.begin(), servers.end());
    config.proxy = proxy;
    backends_ = std::make_unique<Backends>(configs_);
    options_.plans = {std::move(plan)};
    options_.on_news = changes_.callback();
    prober_ = std::make_unique<Prober>(*backends_, options_);
    prober_->Start();
  }
  // The same servers, probed by another prober, which goes on where the first one was.
  void Reload(ProbePlan plan) {
    const std::shared_ptr<const Backends> before = std::move(backends_);
    backends_ = std::make_unique<Backends>(configs_);
    backends_->Inherit(*before);
    options_.plans = {std::move(plan)};
    auto next = std::make_unique<Prober>(*backends_, options_);
    next->TakeOver(*prober_, before);
    prober_ = std::move(next);
    prober_->Start();
  }
  std::string NameOf(const FakeServer& server) { return server.address().ToString(); }

  Changes changes_;
  Prober::Options options_;
  std::vector<BackendConfig> configs_;
  std::unique_ptr<Backends> backends_;
  std::unique_ptr<Prober> prober_;
};

}  // namespace starling
