#include "gateway/resolve/resolver.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "gateway/limits.h"

namespace starling {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kLongestWaitMs = 60'000;
// How late news and the end may be where no descriptor was left to wake by.
constexpr int64_t kLateMs = 1'000;

// What the thread tells of a name, until it is taken.
struct Told {
  Resolver::News news;
  bool changed = false;
};

struct KnownName {
  NameRecord record;
  std::unique_ptr<Lookup> lookup;  // that runs
  size_t polled = 0;               // how many descriptors it has among those that are polled
};

}  // namespace

struct Resolver::Impl {
  Impl()
      : news_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        wake_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Impl();

  void Run();
  // Takes over the names of Use(). False: the thread is to end.
  bool TakeOrders();
  void StartDue(MonoTime now);
  int64_t PollAll();
  void Conclude(const NameQuery& query, KnownName& known);
  void Tell(const NameQuery& query, const KnownName& known, const Answer& answer);

  const int news_fd;
  const int wake_fd;
  std::mutex mutex;
  std::condition_variable looked_up;
  // Under the mutex.
  bool stops = false;
  bool ordered = false;
  ResolverOptions ordered_options;
  std::vector<NameQuery> ordered_names;
  size_t waited_for = 0;  // names that have not been looked up yet
  std::map<NameQuery, Told> told;

  // The thread's.
  ResolverOptions options;
  std::map<NameQuery, KnownName> names;
  std::vector<pollfd> polled;
  std::thread thread;
};

Resolver::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stops = true;
  }
  eventfd_write(wake_fd, 1);
  if (thread.joinable()) thread.join();
  if (news_fd >= 0) close(news_fd);
  if (wake_fd >= 0) close(wake_fd);
}

bool Resolver::Impl::TakeOrders() {
  const std::lock_guard lock(mutex);
  if (stops) return false;
  if (!std::exchange(ordered, false)) return true;
  options = ordered_options;
  std::map<NameQuery, KnownName> kept;
  for (const NameQuery& query : ordered_names) {
    const auto known = names.find(query);
    kept.emplace(query, known == names.end() ? KnownName{} : std::move(known->second));
  }
  names = std::move(kept);
  std::erase_if(told, [&](const auto& one) { return !names.contains(one.first); });
  waited_for = static_cast<size_t>(
      std::ranges::count_if(names, [](const auto& one) { return !one.second.record.looked_up(); }));
  if (waited_for == 0) looked_up.notify_all();
  return true;
}

void Resolver::Impl::Tell(const NameQuery& query, const KnownName& known, const Answer& answer) {
  const std::lock_guard lock(mutex);
  Told& one = told[query];
  one.changed = true;
  one.news.query = query;
  one.news.addresses = known.record.addresses();
  one.news.left_out = known.record.left_out();
  one.news.trouble = answer.result != LookupResult::kAnswer;
  one.news.result = answer.result;
  one.news.error = answer.error;
  if (!one.news.trouble) one.news.good_at = WallNow();
  ++one.news.counts[static_cast<size_t>(answer.result)];
  eventfd_write(news_fd, 1);
}

void Resolver::Impl::Conclude(const NameQuery& query, KnownName& known) {
  const bool first = !known.record.looked_up();
  const std::unique_ptr<Lookup> done = std::move(known.lookup);
  known.record.Note(done->answer(), MonotonicNow(), options.times);
  Tell(query, known, done->answer());
  if (!first) return;
  const std::lock_guard lock(mutex);
  if (waited_for == 0) return;
  --waited_for;
  if (waited_for == 0) looked_up.notify_all();
}

void Resolver::Impl::StartDue(MonoTime now) {
  size_t running = 0;
  for (const auto& [query, known] : names) running += known.lookup != nullptr ? 1 : 0;
  while (running < kMaxLookups) {
    std::pair<const NameQuery, KnownName>* longest = nullptr;
    for (auto& one : names) {
      if (one.second.lookup != nullptr || one.second.record.due() > now) continue;
      if (longest == nullptr || one.second.record.due() < longest->second.record.due()) {
        longest = &one;
      }
    }
    if (longest == nullptr) return;
    KnownName& known = longest->second;
    known.lookup = std::make_unique<Lookup>(longest->first, options.lookup,
                                            known.record.addresses(), Clock::now());
    if (known.lookup->over()) {
      Conclude(longest->first, known);
    } else {
      ++running;
    }
  }
}

// Until when to wait, in milliseconds.
int64_t Resolver::Impl::PollAll() {
  polled.assign({{.fd = wake_fd, .events = POLLIN, .revents = 0}});
  size_t running = 0;
  Clock::time_point next = Clock::time_point::max();
  MonoTime due = kNever;
  for (auto& [query, known] : names) {
    if (known.lookup == nullptr) {
      due = std::min(due, known.record.due());
      continue;
    }
    ++running;
    const size_t before = polled.size();
    known.lookup->AddTo(polled);
    known.polled = polled.size() - before;
    next = std::min(next, known.lookup->wake_at());
  }
  int64_t wait = wake_fd < 0 ? kLateMs : kLongestWaitMs;
  const auto until = [&](auto left) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    wait = std::clamp<int64_t>(ms, 0, wait);
  };
  if (next != Clock::time_point::max()) until(next - Clock::now());
  if (due != kNever && running < kMaxLookups) until(due - MonotonicNow());
  return wait;
}

void Resolver::Impl::Run() {
  while (TakeOrders()) {
    StartDue(MonotonicNow());
    const int64_t wait = PollAll();
    poll(polled.data(), polled.size(), static_cast<int>(wait));
    if (polled[0].revents != 0) {
      eventfd_t count;
      eventfd_read(wake_fd, &count);
    }
    size_t at = 1;
    for (auto& [query, known] : names) {
      if (known.lookup == nullptr) continue;
      known.lookup->Turn(polled.data() + at, known.polled, Clock::now());
      at += known.polled;
      if (known.lookup->over()) Conclude(query, known);
    }
  }
}

Resolver::Resolver() : impl_(std::make_unique<Impl>()) {}
Resolver::~Resolver() = default;

void Resolver::Use(const ResolverOptions& options, const std::vector<NameQuery>& names) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ordered = true;
    impl_->ordered_options = options;
    impl_->ordered_names = names;
    impl_->waited_for = names.size();
  }
  if (!impl_->thread.joinable()) {
    if (names.empty()) return;
    impl_->thread = std::thread([impl = impl_.get()] {
      pthread_setname_np(pthread_self(), "resolver");
      impl->Run();
    });
  }
  eventfd_write(impl_->wake_fd, 1);
}

int Resolver::fd() const { return impl_->news_fd; }

std::vector<Resolver::News> Resolver::Take() {
  eventfd_t count;
  eventfd_read(impl_->news_fd, &count);
  std::vector<News> news;
  const std::lock_guard lock(impl_->mutex);
  for (auto& [query, told] : impl_->told) {
    if (!std::exchange(told.changed, false)) continue;
    news.push_back(told.news);
    told.news.counts = {};
  }
  return news;
}

void Resolver::AwaitAll(MonoTime until) {
  std::unique_lock lock(impl_->mutex);
  impl_->looked_up.wait_until(lock, until, [&] { return impl_->waited_for == 0; });
}

}  // namespace starling
