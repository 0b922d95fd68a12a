// The program: command line, signals and exit codes; nothing else knows of them.
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "gateway/build_info.h"
#include "gateway/command_line.h"
#include "gateway/config/loader.h"
#include "gateway/config/options.h"
#include "gateway/gateway.h"
#include "gateway/privileges.h"

namespace starling {
namespace {

void Print(std::FILE* to, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), to);
  std::fflush(to);
}

ExitCode CodeOf(StartFailure failure) {
  switch (failure) {
    case StartFailure::kNone:
      return ExitCode::kOk;
    case StartFailure::kConfiguration:
      return ExitCode::kConfiguration;
    case StartFailure::kBind:
      return ExitCode::kBind;
    case StartFailure::kRing:
      return ExitCode::kRing;
    case StartFailure::kOther:
      return ExitCode::kOther;
  }
  return ExitCode::kOther;
}

// Signals that mean nothing to the gateway and would end it. Other servers reopen a log or
// upgrade themselves by some of them, so scripts send them; and the kernel sends PIPE and XFSZ to
// a process that writes where it cannot: the write's error says the same. Signals of errors keep
// their effect (SEGV, ABRT and the like).
void IgnoreSignals() {
  for (const int signal : {SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT, SIGXFSZ,
                           SIGXCPU, SIGPIPE}) {
    std::signal(signal, SIG_IGN);
  }
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) std::signal(signal, SIG_IGN);
}

// Signals are read by the main thread alone; threads made later inherit the mask.
int BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int MillisUntil(MonoTime time) {
  constexpr std::chrono::milliseconds kAtMost{60'000};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - MonotonicNow());
  return static_cast<int>(std::clamp(left, std::chrono::milliseconds(0), kAtMost).count());
}

// QUIT, TERM and INT begin the drain; a TERM or INT that comes during the drain ends it at once.
void HandleSignals(int fd, Gateway& gateway, bool& draining) {
  signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP) {
      gateway.AskReload();
    } else if (info.ssi_signo == SIGUSR1) {
      gateway.SayNothingToReopen();
    } else if (!draining) {
      draining = true;
      gateway.BeginDrain();
    } else if (info.ssi_signo != SIGQUIT) {
      gateway.StopNow();
    }
  }
}

ExitCode Run(LoadResult loaded) {
  IgnoreSignals();
  const int signals = BlockSignals();
  if (signals < 0) {
    Print(stderr, "starling: cannot create a signalfd\n");
    return ExitCode::kOther;
  }
  Gateway gateway(std::make_shared<const Config>(std::move(loaded.config)));
  StartFailure failure = StartFailure::kNone;
  absl::Status status;
  try {
    status = gateway.Start(failure);
  } catch (const std::system_error& error) {  // only threads throw it
    failure = StartFailure::kOther;
    status = absl::ResourceExhaustedError(std::string("cannot start a thread: ") +
                                          error.code().message() +
                                          "; raise the limit of tasks (ulimit -u, TasksMax, "
                                          "pids.max) or of memory");
  }
  if (!status.ok()) {
    Print(stderr, "starling: " + std::string(status.message()) + "\n");
    return CodeOf(failure);
  }
  bool draining = false;
  do {
    const auto [trim, files, denied, names, look] = gateway.wake_fds();
    pollfd polled[] = {{.fd = signals, .events = POLLIN, .revents = 0},
                       {.fd = trim, .events = POLLIN, .revents = 0},
                       {.fd = files, .events = POLLIN, .revents = 0},
                       {.fd = denied, .events = POLLIN, .revents = 0},
                       {.fd = names, .events = POLLIN, .revents = 0},
                       {.fd = look, .events = POLLIN, .revents = 0}};
    poll(polled, std::size(polled), MillisUntil(gateway.NextStep()));
    HandleSignals(signals, gateway, draining);
  } while (!gateway.Step());
  close(signals);
  return ExitCode::kOk;
}

ExitCode Check(const LoadResult& loaded) {
  // Keys must be readable for the user that the gateway becomes.
  absl::Status status = ChangeUser(loaded.config.user, loaded.config.group);
  if (status.ok()) status = Harden();  // it reads keys, too
  FileCheck check;
  if (status.ok()) {
    check = CheckFiles(loaded.config);
  } else {
    check.errors.emplace_back(status.message());
  }
  Print(stderr, loaded.WarningText());
  for (const std::string& note : check.notes) Print(stderr, "note: " + note + "\n");
  for (const std::string& warning : check.warnings) Print(stderr, "warning: " + warning + "\n");
  for (const std::string& error : check.errors) Print(stderr, "error: " + error + "\n");
  if (!check.errors.empty()) return ExitCode::kConfiguration;
  Print(stdout, check.report + loaded.file + ": the configuration is valid\n");
  return ExitCode::kOk;
}

ExitCode WithConfig(const CommandLine& command) {
  LoadEnvironment environment = LoadEnvironment::OfSystem();
  environment.sessions = FitSessionsHere;
  LoadResult loaded = LoadConfigFile(command.file, environment);
  if (!loaded.ok()) {
    Print(stderr, loaded.ErrorText());
    return ExitCode::kConfiguration;
  }
  switch (command.mode) {
    case CommandLine::Mode::kCheck:
      return Check(loaded);
    case CommandLine::Mode::kPrint:
      Print(stdout, EffectiveYaml(loaded.config));
      return ExitCode::kOk;
    default:
      Print(stderr, loaded.WarningText());
      return Run(std::move(loaded));
  }
}

ExitCode Main(int argc, char** argv) {
  const CommandLine command = ParseCommandLine(argc, argv);
  switch (command.mode) {
    case CommandLine::Mode::kError:
      Print(stderr, command.error);
      return ExitCode::kCommandLine;
    case CommandLine::Mode::kHelp:
      Print(stdout, HelpText());
      return ExitCode::kOk;
    case CommandLine::Mode::kVersion:
      Print(stdout, VersionText() + "commit " + BuildCommit() +
                        "\nbuilt by clang " __clang_version__ " " + BuildFlags() + "\n");
      return ExitCode::kOk;
    case CommandLine::Mode::kSample:
      Print(stdout, SampleYaml());
      return ExitCode::kOk;
    default:
      return WithConfig(command);
  }
}

}  // namespace
}  // namespace starling

int main(int argc, char** argv) {
  try {
    return static_cast<int>(starling::Main(argc, argv));
  } catch (const std::bad_alloc&) {
    std::fputs("starling: the system denies memory\n", stderr);
    return static_cast<int>(starling::ExitCode::kOther);
  }
}
