#include "bench/meter.h"

#include <algorithm>
#include <cstdio>

namespace starling::bench {

namespace {

// A thread or process that runs for this share of the time is saturated.
constexpr double kSaturated = 0.9;

std::vector<pid_t> One(pid_t pid) {
  return pid == 0 ? std::vector<pid_t>() : std::vector<pid_t>{pid};
}

}  // namespace

Meter::Meter(const LoadOptions& options)
    : gateway_(options.pids), backend_(One(options.backend_pid)) {}

void Meter::Start() {
  gateway_cpu_ = ProcessCpu(gateway_);
  threads_ = SecondsByThread(gateway_);
  backend_seconds_ = ProcessCpu(backend_).seconds;
  own_seconds_ = ThreadSeconds();
  seconds_ = Now();
}

void Meter::Stop() {
  seconds_ = Now() - seconds_;
  own_seconds_ = ThreadSeconds() - own_seconds_;
  backend_seconds_ = ProcessCpu(backend_).seconds - backend_seconds_;
  const CpuTime end = ProcessCpu(gateway_);
  gateway_cpu_ = {.seconds = end.seconds - gateway_cpu_.seconds,
                  .user = end.user - gateway_cpu_.user,
                  .system = end.system - gateway_cpu_.system};
  for (const auto& [thread, seconds] : SecondsByThread(gateway_)) {
    const auto before = threads_.find(thread);
    worker_seconds_ =
        std::max(worker_seconds_, seconds - (before == threads_.end() ? 0 : before->second));
  }
}

void Meter::Print(const Unit& unit, double count) const {
  const double scale = count > 0 ? unit.scale / count : 0;
  const auto each = [&](const char* who, double seconds) {
    std::printf("%s_%s=%.2f\n", who, unit.each, seconds * scale);
  };
  std::printf("%s=%.*f\nseconds=%.2f\nper_second=%.*f\n", unit.name, unit.decimals, count, seconds_,
              unit.decimals, count / seconds_);
  const double load_share = own_seconds_ / seconds_;
  const double backend_share = backend_seconds_ / seconds_;
  each("load", own_seconds_);
  std::printf("load_share=%.2f\n", load_share);
  if (!backend_.empty()) {
    each("backend", backend_seconds_);
    std::printf("backend_share=%.2f\n", backend_share);
  }
  if (gateway_.empty()) return;
  each("gateway", gateway_cpu_.seconds);
  // The clock gives the sum; the coarse ticks divide it into user and system time.
  const double ticks = std::max(gateway_cpu_.user + gateway_cpu_.system, 1e-9);
  each("user", gateway_cpu_.seconds * gateway_cpu_.user / ticks);
  each("system", gateway_cpu_.seconds * gateway_cpu_.system / ticks);
  const double worker_share = worker_seconds_ / seconds_;
  std::printf("worker_share=%.2f\n", worker_share);
  // Load and backend may share one CPU, as in the comparison.
  PrintLimit(worker_share, load_share + backend_share);
}

void Meter::PrintLimit(double worker_share, double load_share) const {
  if (worker_share > kSaturated) {
    std::printf("limit=gateway\n");
  } else if (load_share > kSaturated) {
    std::printf(
        "limit=load\n# The load generator was saturated, not the gateway: CPU per operation is "
        "valid, operations a second are not the gateway's limit.\n");
  } else {
    std::printf(
        "limit=neither\n# Neither side was saturated: a fixed rate, too few connections, or "
        "other processes use the machine.\n");
  }
}

}  // namespace starling::bench
