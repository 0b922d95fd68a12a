// Notices that files have changed: certificates, keys, ticket keys, revocation
// lists, named one by one or by folder. What stat() says of each decides; inotify
// only tells when to look before the next slow look, so that a file system without
// it, a swapped symbolic link (certbot) or a swapped folder of links (Kubernetes)
// is a matter of time at most.
//
// Not for: reading the files, or judging whether they fit together (the caller).
// Never opens one of them. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/io/clock.h"

namespace starling {

class FileWatcher {
 public:
  // What is looked at and watched at most; of more, the rest is not noticed.
  static constexpr size_t kMaxEntries = 50'000;
  static constexpr size_t kMaxWatches = 8'192;
  // A change is told when nothing has changed for that long, or when it goes on for
  // many times as long.
  static constexpr std::chrono::milliseconds kSettle{200};

  // `notify` false does without inotify.
  explicit FileWatcher(bool notify = true);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // Files, and folders with what is in them and in one level of folders below. What is
  // there now is the state that changes are told against. `interval` is that of the slow
  // looks.
  void Watch(std::vector<std::string> paths, std::chrono::milliseconds interval, MonoTime now);

  // Readable when it is worth to look; -1 without inotify.
  int fd() const { return fd_; }
  // When to look at the latest.
  MonoTime next_look() const { return next_; }
  // True once for each change that has settled.
  bool Look(MonoTime now);
  // Folders that notices come of; for tests.
  size_t watches() const { return watches_.size(); }

 private:
  // What stat() says of a file; all 0 where there is none.
  struct Entry {
    std::string path;
    uint64_t device = 0, inode = 0;
    int64_t size = 0, modified_ns = 0, changed_ns = 0;
    uint32_t mode = 0;

    bool operator==(const Entry&) const = default;
  };
  using State = std::vector<Entry>;

  State Take() const;
  void AddFolder(const std::string& path, int depth, State& state) const;
  bool DrainNotices();
  void RenewWatches();
  void WatchFolderOf(const std::string& path);

  std::chrono::milliseconds interval_{};
  int fd_ = -1;
  std::set<int> watches_;
  std::vector<std::string> paths_;
  State known_;
  std::optional<State> pending_;  // differs from `known_`, and may still be changing
  MonoTime pending_since_{};
  MonoTime first_seen_{};
  bool noticed_ = false;
  MonoTime looked_{};
  MonoTime next_{};
};

}  // namespace starling
