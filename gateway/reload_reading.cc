// The reading part of a reload: the configuration, the files that it names, deny lists, and what
// becomes of it when something is wrong with them.
// Not for: putting a configuration to use (reload.cc).
#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/config/options.h"
#include "gateway/memory/memory_reserve.h"
#include "gateway/reload.h"
#include "gateway/secrets.h"

namespace starling {
namespace {

// A certificate may be written a moment before its key: what does not fit together
// is read again, and complained of only when it stays so.
constexpr std::chrono::milliseconds kRetry{500};
constexpr std::chrono::milliseconds kPatience{3'000};
// How long after the system has denied memory nothing is read. A reload that was asked for is
// rejected at once; files are read again.
constexpr std::chrono::milliseconds kMemoryRest{1'000};

std::vector<std::string> LinesOf(const LoadResult& loaded) {
  std::vector<std::string> lines;
  lines.reserve(loaded.errors.size());
  for (const Problem& problem : loaded.errors) lines.push_back(ToString(problem, loaded.file));
  return lines;
}

}  // namespace

void Reload::ReadDenied(MonoTime now) {
  if (now < read_from_) return;
  try {
    const RefusableMemory refusable;
    deny_watch_.Step(now);
  } catch (const std::bad_alloc&) {
    read_from_ = now + kMemoryRest;
    deny_watch_.Again(now);
    state_.Say(LogMessage::kDenyRejected, {{"error", kNoMemory}});
  }
}

void Reload::Read(MonoTime now) {
  if (now < read_from_) return;
  const Trigger trigger = asked_ ? Trigger::kSignal : Trigger::kFiles;
  try {
    const RefusableMemory refusable;
    if (std::exchange(asked_, false)) {
      ReadConfiguration();
    } else if (watcher_.Look(now) || now >= retry_at_ || now >= stale_at_) {
      ReadFiles(now);
    }
  } catch (const std::bad_alloc&) {
    RefuseForMemory(trigger, now);
  }
}

void Reload::RefuseForMemory(Trigger trigger, MonoTime now) {
  if (pending_) Drop();
  read_from_ = now + kMemoryRest;
  if (trigger == Trigger::kFiles) {
    retry_at_ = read_from_;
    if (std::exchange(complained_, kNoMemory) == kNoMemory) return;
  }
  Refuse(trigger, {kNoMemory});
}

void Reload::ReadConfiguration() {
  const MonoTime begun = MonotonicNow();
  LoadResult loaded =
      LoadConfigFile(state_.config->file, LoadEnvironment::OfReload(*state_.started_with));
  if (!loaded.ok()) return Refuse(Trigger::kSignal, LinesOf(loaded));
  const std::vector<std::string> fixed = NeedRestart(*state_.started_with, loaded.config);
  if (!fixed.empty()) {
    return Refuse(Trigger::kSignal, {absl::StrCat(loaded.file, ": a restart is needed to change ",
                                                  absl::StrJoin(fixed, ", "))});
  }
  TlsAssets assets = LoadTlsAssets(loaded.config, state_.store, state_.own_tickets);
  ReadSecrets(loaded.config, assets.errors, assets.warnings);
  auto config = std::make_shared<const Config>(std::move(loaded.config));
  if (!assets.ok()) return Refuse(Trigger::kSignal, assets.errors);
  std::vector<std::string> warnings;
  warnings.reserve(loaded.warnings.size());
  for (const Problem& warning : loaded.warnings) {
    warnings.push_back(ToString(warning, loaded.file));
  }
  Change(Trigger::kSignal, begun, config, std::move(assets), std::move(warnings));
}

void Reload::ReadFiles(MonoTime now) {
  retry_at_ = stale_at_ = kNever;
  TlsAssets assets = LoadTlsAssets(*state_.config, state_.store, state_.own_tickets);
  if (!assets.ok()) {
    bad_since_ = std::min(bad_since_, now);
    retry_at_ = now + kRetry;
    const std::string errors = absl::StrJoin(assets.errors, "\n");
    if (now - bad_since_ >= kPatience) {
      if (errors == complained_) {
        retry_at_ = kNever;  // until something changes
      } else {
        complained_ = errors;
        Refuse(Trigger::kFiles, assets.errors);
      }
    }
    LeaveOutStale(now);
    return;
  }
  bad_since_ = kNever;
  complained_.clear();
  if (assets.SameAs(state_.assets)) return AwaitDates(assets.reload_at, now);
  Change(Trigger::kFiles, now, state_.config, std::move(assets));
}

// While files are bad, what was loaded before stays in use; but a client that is sent a
// response out of date may refuse a good certificate.
void Reload::LeaveOutStale(MonoTime now) {
  const int64_t at = state_.assets.reload_at;
  if (at != 0 && at <= WallNow() / 1'000'000) {
    Change(Trigger::kDates, now, state_.config, WithoutStaleResponses(state_.assets));
    return;
  }
  AwaitDates(state_.assets.reload_at, now);
}

}  // namespace starling
