#include "gateway/log/log.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <thread>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/log/fd_writer.h"
#include "gateway/log/format.h"
#include "gateway/log/messages.h"
#include "gateway/memory/memory_reserve.h"
#include "gateway/sync/mutex.h"

namespace starling {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLastWords{1};
// How long records gather before the next look: too short for a reader of the log to notice.
constexpr int kRestMs = 10;

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// A mistake of the caller; the table promises operators these keys.
[[maybe_unused]] bool HasTheKeys(const LogMessageRow& row, const Fields& fields) {
  std::string keys;
  for (const auto& [key, value] : fields) keys.append(keys.empty() ? "" : " ").append(key);
  return keys == row.keys;
}

}  // namespace

struct Log::Impl {
  explicit Impl(Options options_in);
  ~Impl();

  void Run();
  // From the rings and what was said, until the writer is full. False: nothing.
  bool Fetch();
  bool NothingToFetch();  // the same places are empty
  void Rest();
  void Sleep();
  void WaitForReader(int timeout_ms);

  const LogFormat format;
  Mutex names;
  Options options ABSL_GUARDED_BY(names);  // SetNames() changes it
  LogWaker waker;
  std::vector<std::unique_ptr<LogRing>> rings;
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> lost_said{0};
  std::atomic<uint64_t> lost_written{0};

  Mutex mutex;
  std::vector<std::string> said ABSL_GUARDED_BY(mutex);  // lines with their ends
  std::vector<std::string> taken;                        // of them, by the thread

  FdWriter writer;  // the thread's
  std::thread thread;
};

Log::Impl::Impl(Options options_in)
    : format(options_in.format), options(std::move(options_in)), writer(options.fd) {
  // The thread itself then needs no memory but that of a line.
  said.reserve(kMaxPendingLines);
  taken.reserve(kMaxPendingLines);
  for (size_t i = 0; i < options.workers; ++i) {
    rings.push_back(std::make_unique<LogRing>(options.ring_capacity, &waker));
  }
  thread = std::thread([this] {
    pthread_setname_np(pthread_self(), "log");
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    Run();
  });
}

Log::Impl::~Impl() {
  stopping.store(true);
  waker.Signal();
  thread.join();
}

bool Log::Impl::Fetch() {
  taken.clear();
  {
    const MutexLock lock(mutex);
    taken.swap(said);
  }
  for (const std::string& line : taken) writer.Append(line);
  bool any = !taken.empty();
  // In turn, so that one busy worker does not silence the others.
  bool found = true;
  for (SessionRecord record; found && !writer.full();) {
    found = false;
    for (const auto& ring : rings) {
      if (!ring->Pop(record)) continue;
      found = any = true;
      const MutexLock lock(names);
      writer.Append(FormatRecord(record, options));
      writer.Append("\n");
    }
  }
  return any;
}

bool Log::Impl::NothingToFetch() {
  const MutexLock lock(mutex);
  return said.empty() &&
         std::all_of(rings.begin(), rings.end(), [](const auto& ring) { return ring->Empty(); });
}

void Log::Impl::Rest() {
  waker.BeginRest();
  pollfd wait{waker.fd(), POLLIN, 0};
  if (!stopping.load()) poll(&wait, 1, kRestMs);
  waker.EndSleep();
}

void Log::Impl::Sleep() {
  waker.BeginSleep();
  if (NothingToFetch() && !stopping.load()) {
    pollfd wait{waker.fd(), POLLIN, 0};
    poll(&wait, 1, -1);
  }
  waker.EndSleep();
}

// The thread is not asleep, so only two signal meanwhile: the end, and a producer that was
// late the last time.
void Log::Impl::WaitForReader(int timeout_ms) {
  pollfd wait[] = {{writer.fd(), POLLOUT, 0}, {waker.fd(), POLLIN, 0}};
  const nfds_t count = stopping.load() ? 1 : 2;
  poll(wait, count, timeout_ms);
  waker.EndSleep();
}

void Log::Impl::Run() {
  Clock::time_point deadline = Clock::time_point::max();
  while (true) {
    const bool last = stopping.load();
    if (last) deadline = std::min(deadline, Clock::now() + kLastWords);
    const bool fetched = !writer.full() && Fetch();
    const bool written = writer.Write();
    lost_written.store(writer.lost(), std::memory_order_relaxed);
    const Clock::time_point now = Clock::now();
    if (last && ((written && NothingToFetch()) || now >= deadline)) return;
    if (!written) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
      WaitForReader(last ? static_cast<int>(left) : -1);
    } else if (!last && fetched) {
      Rest();
    } else if (!last && NothingToFetch()) {
      Sleep();
    }
  }
}

Log::Log(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Log::~Log() = default;

void Log::SetNames(std::vector<std::string> listeners, std::vector<std::string> protocols,
                   std::vector<LogServerName> servers) {
  const MutexLock lock(impl_->names);
  impl_->options.listeners = std::move(listeners);
  impl_->options.protocols = std::move(protocols);
  impl_->options.servers = std::move(servers);
}

LogRing* Log::ring(size_t worker) { return impl_->rings[worker].get(); }

void Log::Say(LogMessage message, Fields fields) {
  // It may be the line that says what was refused.
  const NeededMemory needed;
  const LogMessageRow& row = RowOf(message);
  assert(HasTheKeys(row, fields));
  LogLine line(WallNow(), NameOf(row.level), row.text);
  for (const auto& [key, value] : fields) line.Add(key, value);
  std::string text = impl_->format == LogFormat::kJson ? line.Json() : line.Logfmt();
  text += '\n';
  {
    const MutexLock lock(impl_->mutex);
    if (impl_->said.size() >= kMaxPendingLines) {
      impl_->lost_said.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    impl_->said.push_back(std::move(text));
  }
  impl_->waker.Wake();
}

uint64_t Log::lost() const {
  return impl_->lost_said.load(std::memory_order_relaxed) +
         impl_->lost_written.load(std::memory_order_relaxed);
}

}  // namespace starling
