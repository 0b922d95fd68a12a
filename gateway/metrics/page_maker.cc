#include "gateway/metrics/page_maker.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "gateway/memory/memory_reserve.h"

namespace starling {

PageMaker::PageMaker() : done_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

PageMaker::~PageMaker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (done_fd_ >= 0) close(done_fd_);
}

void PageMaker::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "scrapes");
    Run();
  });
}

uint64_t PageMaker::Ask(Make make) {
  const std::lock_guard lock(mutex_);
  make_ = std::move(make);
  wanted_ = begun_ + 1;
  changed_.notify_one();
  return wanted_;
}

PageMaker::Made PageMaker::last() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

void PageMaker::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || wanted_ > begun_; });
    if (stopping_) return;
    Made made{.number = ++begun_};
    const Make make = std::move(make_);
    lock.unlock();
    try {
      const RefusableMemory refusable;
      made.body = std::make_shared<const std::string>(make());
    } catch (const std::bad_alloc&) {
      made.body = nullptr;
    }
    lock.lock();
    made_ = std::move(made);
    eventfd_write(done_fd_, 1);
  }
}

}  // namespace starling
