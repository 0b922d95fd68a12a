// Reload: reads the configuration file again when asked to, and the files of
// certificates and keys when they have changed. The workers then serve new sessions by
// the result. No connection is refused or cut off, and an error changes nothing.
//
// Each reload makes a new generation of the configuration. Sessions keep theirs. Sockets
// whose address stays serve the new generation at once; those of removed addresses are
// drained. Driven by the main thread, step by step.
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
#include "gateway/deny_files.h"
#include "gateway/gateway_state.h"
#include "gateway/listener_drain.h"
#include "gateway/watch/file_watcher.h"

namespace starling {

class Reload {
 public:
  // `state` outlives it, and runs already. `deny`: what it runs with.
  Reload(GatewayState& state, const DenyFiles& deny);

  // The configuration file is to be read again: now, or when the reload that is
  // under way is over.
  void Ask() { asked_ = true; }
  // A drain begins: ends the reload that is under way. The sockets that it was closing go
  // back to the others.
  void Abandon();

  // Readable when files may have changed; and until when to wait at most.
  int fd() const { return watcher_.fd(); }
  int deny_fd() const { return deny_watch_.fd(); }  // the same of deny lists
  MonoTime NextStep(MonoTime now) const;
  void Step(MonoTime now);

 private:
  // kDates: files are bad, and a response of the last good ones is out of date.
  enum class Trigger : uint8_t { kSignal, kFiles, kDates };

  // A reload whose configuration and files are good. It is put to use once each worker
  // has the places that it needs for the sockets of new addresses.
  struct Pending {
    Trigger trigger = Trigger::kSignal;
    MonoTime begun{};
    MonoTime give_up_at{};
    ConfigSnapshot snapshot;
    TlsAssets assets;
    std::optional<DenyFiles> deny;                       // of another configuration
    std::vector<std::unique_ptr<WorkerConfig>> configs;  // by worker
    std::vector<ListenGroup> fresh;                      // of new addresses
    std::unique_ptr<Prober> prober;                      // of the snapshot's servers
    std::vector<std::string> warnings;
  };

  static constexpr char kNoMemory[] = "the system denies memory";

  // Reading (reload_reading.cc). The system may deny the memory for it; then it is refused.
  void Read(MonoTime now);
  void ReadDenied(MonoTime now);
  void RefuseForMemory(Trigger trigger, MonoTime now);
  void ReadConfiguration();
  void ReadFiles(MonoTime now);
  // Begins to make `config` the next generation for all workers, or refuses.
  void Change(Trigger trigger, MonoTime begun, const std::shared_ptr<const Config>& config,
              TlsAssets assets, std::vector<std::string> warnings = {});
  absl::Status Make(const std::shared_ptr<const Config>& config, Pending& pending);
  absl::Status Reserve(const Pending& pending, size_t worker);
  absl::Status AwaitPlaces(MonoTime now, bool& all);
  void PutToUse() noexcept;
  void Drop();
  absl::Status BindNew(const Config& config, std::vector<ListenGroup>& fresh) const;
  void Replace(const Config& config, std::vector<ListenGroup> fresh);
  void WatchFiles();
  void WatchDenied(const DenyFiles& deny);
  void AwaitDates(int64_t reload_at, MonoTime now);
  void LeaveOutStale(MonoTime now);
  void Finish(MonoTime now);
  void FreeRetired();
  void Refuse(Trigger trigger, const std::vector<std::string>& errors);
  void Report(Trigger trigger, bool success, MonoTime begun);

  GatewayState& state_;
  FileWatcher watcher_;
  DenyWatch deny_watch_;
  bool asked_ = false;
  std::optional<Pending> pending_;
  bool applying_ = false;  // not all workers have applied the newest generation
  std::vector<ListenGroup> removed_groups_;
  std::optional<ListenerDrain> listener_drain_;
  MonoTime read_from_{};        // until then the system is given time to have memory again
  MonoTime retry_at_ = kNever;  // files were bad: perhaps half of them was written
  MonoTime bad_since_ = kNever;
  MonoTime stale_at_ = kNever;        // an OCSP response is to be left out from then on
  std::map<uint64_t, size_t> users_;  // how many workers hold a generation, by its number
  std::string complained_;            // of these errors
};

}  // namespace starling
