#include "gateway/watch/file_watcher.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

namespace starling {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kInterval{10'000};

class FileWatcherTest : public testing::TestWithParam<bool> {
 protected:
  FileWatcherTest() {
    std::string name = (fs::temp_directory_path() / "watchXXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
  }
  ~FileWatcherTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::trunc) << text;
  }
  // Replaces the link as tools do: renames a new one over the old one.
  void Link(const std::string& name, const std::string& target) const {
    fs::create_directories(fs::path(Path(name)).parent_path());
    fs::create_symlink(target, Path(name + ".new"));
    fs::rename(Path(name + ".new"), Path(name));
  }

  FileWatcher& Watching(std::vector<std::string> names) {
    for (std::string& name : names) name = Path(name);
    watcher_ = std::make_unique<FileWatcher>(GetParam());
    watcher_->Watch(names, kInterval, now_);
    return *watcher_;
  }
  // How many changes the watcher reports in the time that a change takes to settle.
  // Without inotify, the next periodic look finds them.
  int Changes() {
    int changes = 0;
    const MonoTime until =
        now_ + (GetParam() ? milliseconds(1'000) : kInterval + milliseconds(1'000));
    for (; now_ < until; now_ += milliseconds(50)) changes += watcher_->Look(now_) ? 1 : 0;
    return changes;
  }

  std::string folder_;
  std::unique_ptr<FileWatcher> watcher_;
  MonoTime now_ = MonoTime() + std::chrono::hours(1);
};

TEST_P(FileWatcherTest, ToldOnceWhateverWasDone) {
  struct Row {
    const char* name;
    std::function<void()> change;
    int told;
  };
  const Row rows[] = {
      {"nothing", [] {}, 0},
      {"written in place", [&] { Write("a.pem", "longer"); }, 1},
      {"a new file over it",
       [&] {
         Write("tmp", "renamed");
         fs::rename(Path("tmp"), Path("a.pem"));
       },
       1},
      {"removed", [&] { fs::remove(Path("a.pem")); }, 1},
      {"back again", [&] { Write("a.pem", "back"); }, 1},
      {"its mode", [&] { fs::permissions(Path("a.pem"), fs::perms::owner_read); }, 1},
      {"another file beside it", [&] { Write("unrelated", "x"); }, 0},
      {"a link that certbot swaps", [&] { Link("live/n.pem", "../archive/n2.pem"); }, 1},
      {"what the link points to, in place", [&] { Write("archive/n2.pem", "2b"); }, 1},
      {"a folder that Kubernetes swaps",
       [&] {
         Write("mount/..2/tls.crt", "new");
         Link("mount/..data", "..2");
       },
       1},
      {"a file in a folder", [&] { Write("folder/x.pem", "x"); }, 1},
      {"one in a folder of the folder", [&] { Write("folder/sub/y.pem", "y"); }, 1},
      {"a change of that", [&] { Write("folder/sub/y.pem", "yy"); }, 1},
      {"a hidden one", [&] { Write("folder/.hidden", "x"); }, 0},
      {"a loop of links", [&] { Link("a.pem", "a.pem"); }, 1},
  };
  Write("a.pem", "a");
  Write("archive/n1.pem", "1");
  Write("archive/n2.pem", "2");
  Link("live/n.pem", "../archive/n1.pem");
  Write("mount/..1/tls.crt", "old");
  Link("mount/..data", "..1");
  Link("mount/tls.crt", "..data/tls.crt");
  fs::create_directory(Path("folder"));
  Watching({"a.pem", "live/n.pem", "mount/tls.crt", "folder"});
  for (const Row& row : rows) {
    row.change();
    EXPECT_EQ(Changes(), row.told) << row.name;
  }
}

TEST_P(FileWatcherTest, WaitsUntilAllIsWritten) {
  Write("a.crt", "1");
  Write("a.key", "1");
  FileWatcher& watcher = Watching({"a.crt", "a.key"});
  now_ += kInterval;
  Write("a.crt", "22");
  EXPECT_FALSE(watcher.Look(now_));
  now_ += FileWatcher::kSettle - milliseconds(1);
  Write("a.key", "22");
  EXPECT_FALSE(watcher.Look(now_));
  now_ += milliseconds(1);
  EXPECT_FALSE(watcher.Look(now_)) << "the key has just been written";
  EXPECT_EQ(Changes(), 1);
}

TEST_P(FileWatcherTest, WhatNeverSettlesIsToldAtLast) {
  Write("a", "");
  FileWatcher& watcher = Watching({"a"});
  bool told = false;
  for (int i = 0; i < 200 && !told; ++i) {
    Write("a", std::string(static_cast<size_t>(i) + 1, 'x'));
    now_ += milliseconds(100);
    told = watcher.Look(now_);
  }
  EXPECT_TRUE(told);
}

TEST_P(FileWatcherTest, DoesNotOpenOrLeakAnything) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  Write("folder/a", "a");
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  FileWatcher& watcher = Watching({"fifo", "folder", "absent/file"});
  const auto before = open_files();
  for (int i = 0; i < 1'000; ++i) watcher.Watch({Path("fifo"), Path("folder")}, kInterval, now_);
  EXPECT_EQ(open_files(), before);
  EXPECT_EQ(Changes(), 0);
}

TEST_P(FileWatcherTest, LooksAsOftenAsWasSaidLast) {
  FileWatcher& watcher = Watching({"a"});
  EXPECT_EQ(watcher.next_look(), now_ + kInterval);
  watcher.Watch({Path("a")}, milliseconds(300), now_);
  EXPECT_EQ(watcher.next_look(), now_ + milliseconds(300));
  now_ += milliseconds(300);
  watcher.Look(now_);
  EXPECT_EQ(watcher.next_look(), now_ + milliseconds(300));
}

TEST_P(FileWatcherTest, ANoticeMakesItWorthToLook) {
  if (!GetParam()) {
    EXPECT_EQ(Watching({"a"}).fd(), -1);
    return;
  }
  Write("a", "1");
  FileWatcher& watcher = Watching({"a"});
  pollfd polled{watcher.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&polled, 1, 0), 0);
  Write("a", "2");
  EXPECT_EQ(poll(&polled, 1, 1'000), 1);
  EXPECT_GT(watcher.next_look(), now_ + FileWatcher::kSettle);
  watcher.Look(now_);
  EXPECT_LE(watcher.next_look(), now_ + FileWatcher::kSettle);
}

// Each file of a certificate leads to two folders; each folder takes only one watch.
TEST_P(FileWatcherTest, AFolderTakesOnePlaceHoweverOftenItIsMet) {
  for (const char* file : {"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"}) {
    const std::string name = file;
    Write("archive/n/" + name, "1");
    Link("live/n/" + name, "../../archive/n/" + name);
  }
  const FileWatcher& watcher = Watching({"live"});
  // The parent of `live`, `live`, `live/n` and `archive/n`.
  EXPECT_EQ(watcher.watches(), GetParam() ? 4u : 0u);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutNotices, FileWatcherTest, testing::Bool());

}  // namespace
}  // namespace starling
