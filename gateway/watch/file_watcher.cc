#include "gateway/watch/file_watcher.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/limits.h"

namespace starling {
namespace {

constexpr uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE |
                             IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr int kUnsettledLooks = 25;

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The target of a symbolic link; empty for anything else.
std::string TargetOf(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = readlink(path.c_str(), target, sizeof target);
  if (size <= 0) return "";
  const std::string name(target, static_cast<size_t>(size));
  return name[0] == '/' ? name : FolderOf(path) + "/" + name;
}

}  // namespace

FileWatcher::FileWatcher(bool notify) {
  if (notify) fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

FileWatcher::~FileWatcher() {
  if (fd_ >= 0) close(fd_);
}

void FileWatcher::Watch(std::vector<std::string> paths, std::chrono::milliseconds interval,
                        MonoTime now) {
  paths_ = std::move(paths);
  interval_ = interval;
  // Sets the watches first, so that they report changes after the look.
  RenewWatches();
  known_ = Take();
  pending_.reset();
  looked_ = now;
  next_ = now + interval_;
}

void FileWatcher::AddFolder(const std::string& path, int depth, State& state) const {
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) return;
  std::vector<std::string> names;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.' && state.size() + names.size() < kMaxWatchedFiles) {
      names.emplace_back(entry->d_name);
    }
  }
  closedir(folder);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    struct stat status = {};
    Entry& entry = state.emplace_back(Entry{.path = absl::StrCat(path, "/", name)});
    if (stat(entry.path.c_str(), &status) != 0) continue;
    entry.device = status.st_dev;
    entry.inode = status.st_ino;
    entry.mode = status.st_mode;
    if (S_ISDIR(status.st_mode)) {
      // Ignores the times of a folder, because ignored files change them too.
      const std::string below = entry.path;
      if (depth > 0) AddFolder(below, depth - 1, state);
      continue;
    }
    entry.size = status.st_size;
    entry.modified_ns = Nanoseconds(status.st_mtim);
    entry.changed_ns = Nanoseconds(status.st_ctim);
  }
}

FileWatcher::State FileWatcher::Take() const {
  State state;
  for (const std::string& path : paths_) {
    if (state.size() >= kMaxWatchedFiles) break;
    struct stat status = {};
    Entry entry{.path = path};
    const bool there = stat(path.c_str(), &status) == 0;
    const bool folder = there && S_ISDIR(status.st_mode);
    if (there) {
      entry.device = status.st_dev;
      entry.inode = status.st_ino;
      entry.mode = status.st_mode;
    }
    if (there && !folder) {
      entry.size = status.st_size;
      entry.modified_ns = Nanoseconds(status.st_mtim);
      entry.changed_ns = Nanoseconds(status.st_ctim);
    }
    state.push_back(std::move(entry));
    if (folder) AddFolder(path, 1, state);
  }
  return state;
}

void FileWatcher::WatchFolderOf(const std::string& path) {
  if (watches_.size() >= kMaxWatches) return;
  const int watch = inotify_add_watch(fd_, FolderOf(path).c_str(), kEvents);
  // The same folder always gives the same number, so it takes one place.
  if (watch >= 0) watches_.insert(watch);
}

void FileWatcher::RenewWatches() {
  if (fd_ < 0) return;
  for (const int watch : watches_) inotify_rm_watch(fd_, watch);
  watches_.clear();
  std::vector<std::string> paths = paths_;
  for (const Entry& entry : Take()) {
    paths.push_back(S_ISDIR(entry.mode) ? entry.path + "/." : entry.path);
  }
  for (const std::string& path : paths) {
    std::string hop = path;
    for (int i = 0; i < kMaxLinkHops && !hop.empty(); ++i) {
      WatchFolderOf(hop);
      hop = TargetOf(hop);
    }
    // The path of the folder may contain links: watch its real folder too.
    char resolved[PATH_MAX];
    if (realpath(path.c_str(), resolved) != nullptr) WatchFolderOf(resolved);
  }
  DrainNotices();  // events of the removed watches
}

bool FileWatcher::DrainNotices() {
  if (fd_ < 0) return false;
  alignas(inotify_event) char events[4096];
  bool any = false;
  while (read(fd_, events, sizeof events) > 0) any = true;
  return any;
}

bool FileWatcher::Look(MonoTime now) {
  if (DrainNotices()) noticed_ = true;
  if (noticed_) {
    // Looks at most once in kSettle, however busy the folders are.
    next_ = std::min(next_, looked_ + kSettle);
  }
  if (now < next_) return false;
  noticed_ = false;
  looked_ = now;
  State state = Take();
  if (state == known_) {
    pending_.reset();
    next_ = now + interval_;
    return false;
  }
  if (!pending_) first_seen_ = now;
  const bool moved = !pending_ || state != *pending_;
  if (moved) {
    pending_ = std::move(state);
    pending_since_ = now;
  }
  const bool settled = now - pending_since_ >= kSettle;
  if (!settled && now - first_seen_ < kUnsettledLooks * kSettle) {
    next_ = now + kSettle;
    return false;
  }
  known_ = *std::exchange(pending_, std::nullopt);
  next_ = now + interval_;
  RenewWatches();
  // Looks once more, because files may have changed while there were no watches.
  noticed_ = true;
  return true;
}

}  // namespace starling
