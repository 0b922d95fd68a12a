// Reload: from a configuration file that somebody asks to be read again, or files
// of certificates and keys that have changed, to workers that serve new sessions by
// it, without a connection refused or cut off. What is bad changes nothing.
//
// Each reload makes a new generation. Sessions keep theirs; sockets whose address
// stays serve the new one at once; addresses that are gone are given up as in a
// drain. Driven by the main thread, step by step.
//
// Not for: what a worker does with it (worker/), or signals (main.cc).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/config/loader.h"
#include "gateway/departure.h"
#include "gateway/runtime.h"
#include "gateway/watch/file_watcher.h"

namespace starling {

class Reload {
 public:
  // `runtime` outlives it, and runs already.
  explicit Reload(Runtime& runtime);

  // The configuration file is to be read again: now, or when the reload that is
  // under way is over.
  void Ask() { asked_ = true; }
  // The sockets of a reload that is under way go back to the others.
  void Abandon();

  // Readable when files may have changed; and until when to wait at most.
  int fd() const { return watcher_.fd(); }
  MonoTime NextStep(MonoTime now) const;
  void Step(MonoTime now);

 private:
  enum class Trigger : uint8_t { kSignal, kFiles };

  void ReadConfiguration();
  void ReadFiles(MonoTime now);
  // The new generation of `config` for all workers, or why not.
  absl::Status Change(const std::shared_ptr<const Config>& config, TlsAssets assets);
  absl::Status BindNew(const Config& config, std::vector<ListenGroup>& fresh) const;
  void Replace(const Config& config, std::vector<ListenGroup> fresh);
  void WatchFiles();
  void AwaitDates(int64_t reload_at, MonoTime now);
  void LeaveOutStale(MonoTime now);
  void Finish(MonoTime now);
  void FreeRetired();
  void Refuse(Trigger trigger, const std::vector<std::string>& errors);
  void Report(Trigger trigger, bool success, MonoTime begun);

  Runtime& runtime_;
  FileWatcher watcher_;
  bool asked_ = false;
  bool adopting_ = false;  // not all workers have taken the newest generation over
  std::vector<ListenGroup> leaving_;
  std::optional<Departure> departure_;
  MonoTime retry_at_ = kNever;  // files were bad: perhaps half of them was written
  MonoTime bad_since_ = kNever;
  MonoTime stale_at_ = kNever;        // an OCSP response is to be left out from then on
  std::map<uint64_t, size_t> users_;  // workers that have a generation, by its number
  std::string complained_;            // of these errors
};

}  // namespace starling
