// Not for: reading files, and what becomes of a reload that finds them wrong (reload_reading.cc).
#include "gateway/reload.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/memory/memory_reserve.h"

namespace starling {
namespace {

// While workers change over and sockets are given up.
constexpr std::chrono::milliseconds kBusyStep{5};
constexpr std::chrono::milliseconds kRetired{500};
// How long a worker may go without a place in its ring for a new address. Data channels
// that are closing hold places for a turn or two.
constexpr std::chrono::milliseconds kPlacesPatience{1'000};

bool Binds(const Config& config, const SocketAddress& address) {
  return std::ranges::any_of(config.listeners, [&](const ListenerConfig& listener) {
    return std::ranges::find(listener.bind, address) != listener.bind.end();
  });
}

}  // namespace

Reload::Reload(GatewayState& state, const DenyFiles& deny)
    : state_(state),
      deny_watch_({.load = [this] { return LoadDenyFiles(*state_.config, state_.listener_ids); },
                   .use =
                       [this](const DenyFiles& files) {
                         state_.Deny(files);
                         state_.Say(LogMessage::kDenyChanged,
                                    {{"networks", absl::StrCat(files.networks)}});
                       },
                   .refuse =
                       [this](const std::string& error) {
                         state_.Say(LogMessage::kDenyRejected, {{"error", error}});
                       }}) {
  users_[state.generation] = state.workers.size();
  WatchFiles();
  WatchDenied(deny);
}

void Reload::WatchDenied(const DenyFiles& deny) {
  deny_watch_.Watch(deny, std::chrono::milliseconds(state_.config->limits.file_check_ms),
                    MonotonicNow());
}

// What was written while the files were being read is not told by the watcher: they
// are read once more.
void Reload::WatchFiles() {
  const MonoTime now = MonotonicNow();
  watcher_.Watch(state_.assets.paths,
                 std::chrono::milliseconds(state_.config->limits.file_check_ms), now);
  retry_at_ = now;
  AwaitDates(state_.assets.reload_at, now);
}

// Loading again finds an OCSP response out of date, and no longer sends it.
void Reload::AwaitDates(int64_t reload_at, MonoTime now) {
  const int64_t left = reload_at - WallNow() / 1'000'000;
  stale_at_ = reload_at == 0 ? kNever : now + std::chrono::seconds(std::max<int64_t>(left, 0) + 1);
}

MonoTime Reload::NextStep(MonoTime now) const {
  if (now < read_from_ && !pending_ && !applying_ && !listener_drain_) return read_from_;
  if (asked_ || pending_ || applying_ || listener_drain_) return now + kBusyStep;
  MonoTime next = std::min({watcher_.next_look(), retry_at_, stale_at_, deny_watch_.next_step()});
  // Workers hand old configurations back one by one.
  if (users_.size() > 1) next = std::min<MonoTime>(next, now + kRetired);
  return next;
}

void Reload::Step(MonoTime now) {
  FreeRetired();
  ReadDenied(now);
  if (pending_) {
    bool all = false;
    const absl::Status status = AwaitPlaces(now, all);
    if (!status.ok()) {
      const Trigger trigger = pending_->trigger;
      Drop();
      Refuse(trigger, {std::string(status.message())});
    } else if (all) {
      PutToUse();
    }
    return;
  }
  if (applying_ || listener_drain_) {
    Finish(now);
    return;
  }
  Read(now);
}

// Sockets of addresses that no listener has yet.
absl::Status Reload::BindNew(const Config& config, std::vector<ListenGroup>& fresh) const {
  const NeededMemory needed;
  std::vector<ListenGroup> wanted = GroupsOf(config);
  std::erase_if(wanted, [&](const ListenGroup& group) {
    return std::ranges::any_of(
        state_.groups, [&](const ListenGroup& old) { return old.address == group.address; });
  });
  const size_t sockets = state_.groups.size() + wanted.size();
  if (sockets > state_.most_sockets) {
    return absl::ResourceExhaustedError(absl::StrCat("old and new addresses together are ", sockets,
                                                     ", and the gateway has room "
                                                     "for ",
                                                     state_.most_sockets,
                                                     " since its start; restart it"));
  }
  const absl::Status bound = Bind(config, wanted);
  if (bound.ok()) fresh = std::move(wanted);
  return bound;
}

void Reload::Change(Trigger trigger, MonoTime begun, const std::shared_ptr<const Config>& config,
                    TlsAssets assets, std::vector<std::string> warnings) {
  pending_.emplace(Pending{.trigger = trigger,
                           .begun = begun,
                           .give_up_at = begun + kPlacesPatience,
                           .snapshot = {},
                           .assets = std::move(assets),
                           .deny = {},
                           .configs = {},
                           .fresh = {},
                           .prober = {},
                           .warnings = std::move(warnings)});
  const absl::Status status = Make(config, *pending_);
  if (!status.ok()) {
    Drop();
    return Refuse(trigger, {std::string(status.message())});
  }
  // Without new addresses there is nothing to wait for.
  if (pending_->fresh.empty()) PutToUse();
}

// Does everything of a reload that can fail, except for the workers' part.
absl::Status Reload::Make(const std::shared_ptr<const Config>& config, Pending& pending) {
  absl::Status status = BindNew(*config, pending.fresh);
  if (!status.ok()) return status;
  absl::StatusOr<ConfigSnapshot> snapshot = state_.MakeSnapshot(config, pending.assets);
  if (!snapshot.ok()) return snapshot.status();
  pending.snapshot = *std::move(snapshot);
  if (pending.trigger == Trigger::kSignal) {
    pending.deny = LoadDenyFiles(*config, pending.snapshot.ids);
    if (!pending.deny->ok()) {
      return absl::InvalidArgumentError(absl::StrJoin(pending.deny->errors, "; "));
    }
    std::ranges::copy(pending.deny->warnings, std::back_inserter(pending.warnings));
  }
  for (size_t i = 0; i < state_.workers.size(); ++i) {
    absl::StatusOr<std::unique_ptr<WorkerConfig>> made = WorkerConfig::Make(pending.snapshot);
    if (!made.ok()) return made.status();
    pending.configs.push_back(*std::move(made));
  }
  pending.prober = state_.MakeProber(pending.snapshot);
  // Putting it to use cannot be refused any more, so it may need the whole reserve.
  if (MemoryIsShort()) return absl::ResourceExhaustedError(kNoMemory);
  for (size_t i = 0; i < state_.workers.size() && status.ok() && !pending.fresh.empty(); ++i) {
    status = Reserve(pending, i);
  }
  return status;
}

absl::Status Reload::Reserve(const Pending& pending, size_t worker) {
  const NeededMemory needed;
  std::vector<NewSocket> sockets;
  for (const ListenGroup& group : pending.fresh) {
    // The ring takes this one; ours stays for the hand-over.
    const int fd = dup(group.fds[worker]);
    if (fd < 0) {
      const int error = errno;
      for (const NewSocket& socket : sockets) close(socket.os_fd);
      return absl::InternalError(absl::StrCat("dup: ", std::strerror(error)));
    }
    sockets.push_back({group.listener, fd, group.address});
  }
  state_.workers[worker]->Reserve(std::move(sockets));
  return absl::OkStatus();
}

// `all`: each worker holds its new sockets. A worker that had no place is asked again for a
// while.
absl::Status Reload::AwaitPlaces(MonoTime now, bool& all) {
  all = true;
  for (size_t i = 0; i < state_.workers.size(); ++i) {
    const std::optional<absl::Status> reserved = state_.workers[i]->reserved();
    if (reserved && reserved->ok()) continue;
    all = false;
    if (now >= pending_->give_up_at) {
      return absl::ResourceExhaustedError(
          absl::StrCat("worker ", i, " has no place for the new addresses: ",
                       reserved ? reserved->message() : absl::string_view("it does not answer")));
    }
    if (!reserved) continue;
    const absl::Status status = Reserve(*pending_, i);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// From here on nothing fails.
void Reload::PutToUse() noexcept {
  const NeededMemory needed;
  Pending done = *std::exchange(pending_, std::nullopt);
  Replace(*done.snapshot.config, std::move(done.fresh));
  state_.Activate(done.snapshot, std::move(done.assets), std::move(done.prober));
  state_.StartProber();
  WatchFiles();
  if (done.deny) {
    state_.Deny(*done.deny);
    WatchDenied(*done.deny);
  }
  for (size_t i = 0; i < state_.workers.size(); ++i) {
    state_.workers[i]->Apply(std::move(done.configs[i]));
  }
  users_[state_.generation] = state_.workers.size();
  applying_ = true;
  if (done.trigger == Trigger::kDates) return;
  for (const std::string& warning : done.warnings) {
    state_.Say(LogMessage::kConfigWarning, {{"warning", warning}});
  }
  Report(done.trigger, true, done.begun);
}

// Leaves everything as it was before.
void Reload::Drop() {
  if (!pending_->fresh.empty()) {
    for (const auto& worker : state_.workers) worker->Reserve({});
    CloseAll(pending_->fresh);
  }
  if (pending_->trigger == Trigger::kDates) state_.assets.reload_at = 0;  // once is enough
  pending_.reset();
}

// Which groups there are from now on, and which are to be given up.
void Reload::Replace(const Config& config, std::vector<ListenGroup> fresh) {
  std::vector<ListenGroup> kept;
  for (ListenGroup& group : state_.groups) {
    (Binds(config, group.address) ? kept : removed_groups_).push_back(std::move(group));
  }
  for (const ListenGroup& group : kept) {
    const auto bound = std::ranges::find_if(config.listeners, [&](const ListenerConfig& listener) {
      return std::ranges::find(listener.bind, group.address) != listener.bind.end();
    });
    LimitBuffers(*bound, group);
  }
  for (ListenGroup& group : fresh) kept.push_back(std::move(group));
  state_.groups = std::move(kept);
}

void Reload::Finish(MonoTime now) {
  if (applying_) {
    for (const auto& worker : state_.workers) {
      if (worker->applied_generation() != state_.generation) return;
    }
    applying_ = false;
    if (removed_groups_.empty()) return;
    listener_drain_.emplace(removed_groups_,
                            ListenerDrain::Steps{.accepted = [this] { return state_.Accepted(); },
                                                 .stop_accepting =
                                                     [this] {
                                                       for (const auto& worker : state_.workers)
                                                         worker->CloseRemoved();
                                                     },
                                                 .stopped =
                                                     [this] {
                                                       return std::ranges::all_of(
                                                           state_.workers, [](const auto& worker) {
                                                             return worker->removed_sockets() == 0;
                                                           });
                                                     },
                                                 .say =
                                                     [this](const ListenerHandoff::Found& found) {
                                                       state_.Say(LogMessage::kAddressClosing,
                                                                  {{"address", found.address},
                                                                   {"successor", found.successor}});
                                                     }});
  }
  if (listener_drain_ && listener_drain_->Step(now)) listener_drain_.reset();
}

void Reload::Abandon() {
  if (pending_) {
    const Trigger trigger = pending_->trigger;
    Drop();
    Refuse(trigger, {"the gateway is draining"});
  }
  listener_drain_.reset();
  for (ListenGroup& group : removed_groups_) state_.groups.push_back(std::move(group));
  removed_groups_.clear();
  asked_ = false;
}

void Reload::FreeRetired() {
  for (const auto& worker : state_.workers) {
    for (const auto& config : worker->TakeRetired()) {
      const auto users = users_.find(config->generation());
      // A worker hands back what it was given, each once.
      assert(users != users_.end() && users->second > 0);
      if (--users->second == 0) users_.erase(users);
    }
  }
  state_.exporter->SetGenerations(users_.size());
}

void Reload::Refuse(Trigger trigger, const std::vector<std::string>& errors) {
  for (const std::string& error : errors) {
    state_.Say(
        trigger == Trigger::kSignal ? LogMessage::kReloadRejected : LogMessage::kFilesRejected,
        {{"error", error}});
  }
  Report(trigger, false, MonotonicNow());
}

void Reload::Report(Trigger trigger, bool success, MonoTime begun) {
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(MonotonicNow() - begun);
  state_.exporter->CountReload({.success = success,
                                .by_files = trigger != Trigger::kSignal,
                                .at = WallNow() / 1'000'000,
                                .seconds = static_cast<double>(took.count()) / 1e6,
                                .generation = state_.generation});
  if (!success) return;
  state_.Say(trigger == Trigger::kSignal ? LogMessage::kConfigReloaded : LogMessage::kFilesReloaded,
             {{"generation", absl::StrCat(state_.generation)},
              {"certificates", absl::StrCat(state_.assets.credentials.size())},
              {"duration_ms", absl::StrCat(took.count() / 1'000)}});
}

}  // namespace starling
