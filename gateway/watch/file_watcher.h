// Notices changes of certificates, keys, ticket keys and revocation lists, given as files
// or folders. The result of stat() decides; inotify only makes the watcher look before
// the next periodic look. So on a file system without inotify, or after a swap of
// symbolic links (certbot) or of a folder of links (Kubernetes), it notices the change
// later, but it does.
//
// Not for: reading the files or checking whether they fit together, which the caller
// does. The watcher never opens a file. For one thread.
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
  // The watcher reports a change when nothing more has changed for this long, or when
  // changes go on for many times as long.
  static constexpr std::chrono::milliseconds kSettle{200};

  // With `notify` false, the watcher does not use inotify.
  explicit FileWatcher(bool notify = true);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // Sets what to watch: files, and folders with their files and those in direct
  // subfolders. Look compares with the state at this call. `interval` is the time between
  // periodic looks.
  void Watch(std::vector<std::string> paths, std::chrono::milliseconds interval, MonoTime now);

  // Readable when inotify has events, so that Look is worthwhile; -1 without inotify.
  int fd() const { return fd_; }
  // When to call Look at the latest.
  MonoTime next_look() const { return next_; }
  // Returns true once for each settled change.
  bool Look(MonoTime now);
  // The number of folders that inotify watches; for tests.
  size_t watches() const { return watches_.size(); }

 private:
  // The result of stat() for a file; all 0 if it does not exist.
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
  std::optional<State> pending_;  // differs from `known_` and may still be changing
  MonoTime pending_since_{};
  MonoTime first_seen_{};
  bool noticed_ = false;
  MonoTime looked_{};
  MonoTime next_{};
};

}  // namespace starling
