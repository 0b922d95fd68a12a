// The deny lists of a configuration, with the files that it names; and the watch over these files.
// A change of one is put to use without a new generation of the configuration: bans come and go
// by the minute, and certificates have nothing to do with them.
//
// For the main thread. Not for: looking clients up (sources/deny_lists.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/io/clock.h"
#include "gateway/metrics/metrics.h"
#include "gateway/sources/deny_lists.h"
#include "gateway/watch/file_watcher.h"

namespace starling {

struct DenyFiles {
  std::shared_ptr<const DenyLists> lists;
  size_t networks = 0;                // of all lists
  uint64_t fingerprint = 0;           // of what the files contain
  std::vector<std::string> errors;    // each begins with a path
  std::vector<std::string> warnings;  // the same
  std::vector<std::string> paths;     // of the files

  bool ok() const { return errors.empty(); }
};

// `ids`: of the listeners.
DenyFiles LoadDenyFiles(const Config& config, const std::vector<ListenerId>& ids);

class DenyWatch {
 public:
  struct Steps {
    std::function<DenyFiles()> load;  // of the configuration in use
    std::function<void(const DenyFiles&)> use;
    std::function<void(const std::string& error)> refuse;
  };
  explicit DenyWatch(Steps steps) : steps_(std::move(steps)) {}

  // The lists in use are those of a configuration that was just loaded.
  void Watch(const DenyFiles& files, std::chrono::milliseconds interval, MonoTime now);

  int fd() const { return watcher_.fd(); }
  MonoTime next_step() const { return std::min(watcher_.next_look(), retry_at_); }
  void Step(MonoTime now);
  // Reads the files at the next step, whether or not they have changed.
  void Again(MonoTime now) { retry_at_ = now; }

 private:
  Steps steps_;
  FileWatcher watcher_;
  uint64_t in_use_ = 0;         // fingerprint
  MonoTime retry_at_ = kNever;  // files were bad: perhaps half of one was written
  MonoTime bad_since_ = kNever;
  std::vector<std::string> complained_;  // of these errors
};

}  // namespace starling
