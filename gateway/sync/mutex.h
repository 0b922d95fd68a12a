// A mutex and a lock that clang's thread safety analysis (-Wthread-safety) understands, so
// that an access to a guarded member without its lock does not compile. libstdc++ does not
// annotate std::mutex. Mark members with ABSL_GUARDED_BY and functions with
// ABSL_EXCLUSIVE_LOCKS_REQUIRED.
//
// Not for: workers, which share nothing that needs a lock in their turns.
#pragma once

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace starling {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  // Whether it has the lock now: for those who must not wait.
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds `mutex` as long as the object lives.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace starling
