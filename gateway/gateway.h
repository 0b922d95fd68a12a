// The running gateway: puts the parts together in the order that rights and
// threads demand, and takes them apart again without losing a connection.
//
// Not for: flags, signals and exit codes (main.cc), what the parts do.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gateway/config/config.h"
#include "gateway/config/loader.h"
#include "gateway/io/clock.h"

namespace starling {

// Which step failed; main makes an exit code of it.
enum class StartFailure : uint8_t { kNone, kConfiguration, kBind, kRing, kOther };

class Gateway {
 public:
  explicit Gateway(std::shared_ptr<const Config> config);
  // Stops at once what still runs.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Binds, changes the user, reads keys, makes rings, starts threads. On failure
  // nothing is left running.
  absl::Status Start(StartFailure& failure);

  // What the main thread does from then on: wait until one of wake_fds() is readable (-1:
  // not one) or NextStep() has come, then call Step(), which never waits. Step() returns
  // true when all is over.
  std::array<int, 5> wake_fds() const;
  MonoTime NextStep() const;
  bool Step();

  // The configuration file is to be read again.
  void AskReload();
  // Tells whoever has rotated a log that the gateway has no file to reopen.
  void SayNothingToReopen();
  // Not ready from now on; still accepting for as long as `drain_delay` says.
  void BeginDrain();
  // No last words.
  void StopNow();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What `-t` finds in the files that a configuration names (certificates, keys, ticket keys,
// authorities), as the user that calls it.
struct FileCheck {
  std::vector<std::string> errors;  // all of them, a line each
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
  std::string report;  // for people; empty if there are errors
};
// What `limits.sessions: auto` stands for in this process.
FittedSessions FitSessionsHere(const Config& config);

FileCheck CheckFiles(const Config& config);

// "starling 0.1.0" and the libraries that it was built with, a line each.
std::string VersionText();

}  // namespace starling
