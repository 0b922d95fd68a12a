// `load idle`: the memory of idle sessions, in the gateway and in the kernel.
#include <poll.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench/load_options.h"
#include "bench/sessions.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

// The gateway's memory has settled when several readings in a row differ by no more than
// this share, or after a time limit.
constexpr double kAtRest = 0.001;
constexpr int kReadingsAtRest = 5;
constexpr int kReadings = 100;
constexpr int kBetweenReadingsMs = 100;

struct Memory {
  double pss = 0;
  KernelMemory kernel;
};

// Waits until the gateway's memory has settled, and reads it.
Memory Settled(const LoadOptions& options) {
  double last = PssKib(options.pids);
  int at_rest = 0;
  for (int i = 0; i < kReadings && at_rest < kReadingsAtRest; ++i) {
    poll(nullptr, 0, kBetweenReadingsMs);
    const double now = PssKib(options.pids);
    at_rest = std::abs(now - last) <= kAtRest * last ? at_rest + 1 : 0;
    last = now;
  }
  return {.pss = last, .kernel = ReadKernelMemory()};
}

// Lets this many sessions come and go, as many at a time as will stay afterwards.
bool Churn(const LoadOptions& options) {
  for (size_t left = options.churn; left > 0;) {
    const size_t count = std::min(left, options.sessions);
    Sessions sessions(options, count);
    if (!sessions.Open() || !sessions.Leave()) return false;
    left -= count;
  }
  return true;
}

void Print(const LoadOptions& options, const Memory& before, const Memory& churned,
           const Memory& after) {
  const auto each = [&](double from, double to) {
    return (to - from) / static_cast<double>(options.sessions);
  };
  const KernelMemory& from = churned.kernel;
  const KernelMemory& to = after.kernel;
  std::printf("pss_before_kib=%.0f\npss_churned_kib=%.0f\npss_after_kib=%.0f\n", before.pss,
              churned.pss, after.pss);
  std::printf("pss_session_kib=%.3f\n", each(before.pss, after.pss));
  std::printf("kernel_session_kib=%.3f\nkernel_unreclaimable_session_kib=%.3f\n",
              each(from.slab + from.tcp, to.slab + to.tcp),
              each(from.unreclaimable + from.tcp, to.unreclaimable + to.tcp));
  std::printf(
      "# PSS of a session: the growth since one session was open and none had ended, divided by "
      "the number of sessions, in a gateway that has done nothing else.\n"
      "# Kernel: Slab of /proc/meminfo and TCP's mem of /proc/net/sockstat, of the whole machine: "
      "they include the client's and the backend's ends of each session, the same for every "
      "gateway, and everything else on the machine. After churn it is too low: the kernel fills "
      "slabs that it kept.\n");
}

}  // namespace

int RunIdle(const LoadOptions& options) {
  if (options.pids.empty()) {
    std::fprintf(stderr, "load: idle needs --pid\n");
    return 2;
  }
  // Opens one session first and keeps it until the end, because the first one touches
  // code and tables that the others share.
  Sessions first(options, 1);
  if (!first.Open()) return 1;
  const Memory before = Settled(options);
  if (!Churn(options)) return 1;
  const Memory churned = options.churn > 0 ? Settled(options) : before;
  Sessions sessions(options, options.sessions);
  const double start = Now();
  if (!sessions.Open()) return 1;
  const double opened = Now();
  const Memory after = Settled(options);
  sessions.Turn(0);
  first.Turn(0);
  if (sessions.failed() || first.failed()) return 1;
  std::printf("sessions=%zu\nchurn=%zu\nopen_seconds=%.2f\n", options.sessions, options.churn,
              opened - start);
  sessions.negotiated().Print();
  Print(options, before, churned, after);
  return before.pss < 0 || after.pss < 0 ? 1 : 0;
}

}  // namespace starling::bench
