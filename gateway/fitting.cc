#include "gateway/fitting.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/limits.h"
#include "gateway/worker/listen_group.h"

namespace starling {
namespace {

// Files of the process besides sockets and rings: standard ones, the log, timers, certificates
// while they load, and the connections to the metrics listener.
constexpr uint64_t kOtherFiles = 96;
// Of each worker: its ring, its wake event, and one that it opens for a moment.
constexpr uint64_t kFilesPerWorker = 4;

bool MayLockMemory() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[0].effective >> CAP_IPC_LOCK & 1) != 0;
}

uint64_t NumberOf(rlim_t limit) { return limit == RLIM_INFINITY ? UINT64_MAX : limit; }

uint64_t SoftLimit(int resource) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return UINT64_MAX;
  return NumberOf(limit.rlim_cur);
}

uint64_t MostOpenFiles() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? NumberOf(limit.rlim_max) : UINT64_MAX;
}

// The kernel's range of ports for connections; without it there is nothing to check.
uint64_t PortsOfKernel(const std::string& root) {
  std::ifstream file(root + "/proc/sys/net/ipv4/ip_local_port_range");
  uint64_t first = 0;
  uint64_t last = 0;
  if (!(file >> first >> last) || last < first) return UINT64_MAX;
  return last - first + 1;
}

// Octets. Without the file there is nothing to go by.
uint64_t MemAvailable(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const uint64_t kib = ParseKey(text, "MemAvailable:");
  return kib == 0 ? UINT64_MAX : kib * 1'024;
}

std::string Slots(const GlobalLimits& limits) {
  return absl::StrCat("limits.sessions: ", limits.sessions,
                      " and limits.refusals: ", limits.refusals);
}

// Each ring of io_uring has a table of its own, which the same limit binds.
bool TableFits(const RingOptions& ring, const Means& means) {
  return ring.kind != RingKind::kUring || DescriptorTableSize(ring) <= means.open_files;
}

void CheckTable(const Config& config, const RingOptions& ring, const Means& means, Fitting& found) {
  if (TableFits(ring, means)) return;
  const uint64_t table = DescriptorTableSize(ring);
  found.errors.push_back(absl::StrCat(
      Slots(config.limits), " need a table of ", table,
      " descriptors in each worker, and the limit of open files (RLIMIT_NOFILE) is ",
      means.open_files, ": raise it (ulimit -n, LimitNOFILE=) or lower limits.sessions"));
}

// Of the process.
uint64_t OpenFiles(const Config& config, const RingOptions& ring, size_t sockets) {
  return (sockets + kFilesPerWorker) * config.workers + kOtherFiles +
         OpenFilesOf(ring, config.workers);
}

void CheckFiles(const Config& config, const RingOptions& ring, size_t sockets, const Means& means,
                Fitting& found) {
  const uint64_t tables = OpenFilesOf(ring, config.workers);
  const uint64_t files = OpenFiles(config, ring, sockets);
  if (files <= means.open_files) return;
  if (tables == 0) {
    found.errors.push_back(
        absl::StrCat("the addresses of all listeners and ", config.workers, " workers need about ",
                     files, " open files, and the limit of open files (RLIMIT_NOFILE) is ",
                     means.open_files, ": raise it (ulimit -n, LimitNOFILE=)"));
  } else {
    found.errors.push_back(absl::StrCat(
        Slots(config.limits), " of ", config.workers, " workers on epoll need about ", files,
        " open files, and the limit of open files (RLIMIT_NOFILE) is ", means.open_files,
        ": raise it (ulimit -n, LimitNOFILE=) or lower limits.sessions"));
  }
}

// Newer kernels count the rings as locked memory; older ones do not.
void CheckLockedMemory(const Config& config, const RingOptions& ring, const Means& means,
                       Fitting& found) {
  const uint64_t needed = config.workers * LockedMemory(ring);
  if (needed <= means.locked_memory) return;
  found.warnings.push_back(absl::StrCat(
      "the rings of ", config.workers, " workers take about ", needed,
      " octets, which newer kernels count as locked memory, and the limit of that "
      "(RLIMIT_MEMLOCK) is ",
      means.locked_memory, ": raise it (ulimit -l, LimitMEMLOCK=) or lower limits.sessions"));
}

void CheckBlocks(const GlobalLimits& limits, Fitting& found) {
  const uint32_t blocks = OutputBuffers(limits);
  if (blocks >= limits.sessions) return;
  found.warnings.push_back(absl::StrCat(
      "limits.output_buffers: ", blocks, " are fewer than limits.sessions: ", limits.sessions,
      "; clients that take nothing can fill them and keep others out. Leave out output_buffers, "
      "and limit memory by queued_bytes"));
}

void CheckMemory(const Config& config, const Means& means, Fitting& found) {
  const uint64_t needed = uint64_t{SlotsOf(config.limits)} * config.workers * kIdleSession;
  for (const MemoryUse& use : means.memory) {
    if (use.what != "cgroup" || needed <= use.limit) continue;
    found.warnings.push_back(
        absl::StrCat(Slots(config.limits), " of ", config.workers, " workers take about ", needed,
                     " octets while they are idle, and the control group may use ", use.limit,
                     ": raise its limit (MemoryMax=) or lower limits.sessions"));
    return;
  }
}

// A connection to a server needs a port that no other connection from the same address to the same
// server has. A backend takes as many sessions as all its servers together.
void CheckPorts(const Config& config, const Means& means, Fitting& found) {
  // As many as the machine can hold are no wish.
  if (means.ports == UINT64_MAX || !config.sessions_from.empty()) return;
  const uint64_t sessions = uint64_t{config.limits.sessions} * config.workers;
  for (const BackendConfig& backend : config.backends) {
    const bool any_unix = std::ranges::any_of(
        backend.servers, [](const ServerConfig& server) { return server.address.is_unix(); });
    const uint64_t addresses = std::max<uint64_t>(backend.sources.size(), 1);
    const uint64_t most = backend.servers.size() * addresses * means.ports;
    if (any_unix || HasNames(backend) || sessions <= most) continue;
    found.warnings.push_back(absl::StrCat(
        "limits.sessions: ", config.limits.sessions, " of ", config.workers,
        " workers are more than the ", most, " connections that backend ", backend.name,
        " can have: each of its servers has ", means.ports,
        " ports for each address of the gateway (net.ipv4.ip_local_port_range). Give the backend "
        "more addresses (source:), or widen the range"));
  }
}

// What allows no more sessions than so many.
struct Bound {
  uint64_t sessions;
  std::string what;
};

// The most that fits, if more never fits where less does not. 0: not even one.
template <class Fits>
uint64_t MostThatFits(const Fits& fits) {
  uint64_t most = 0;
  uint64_t too_many = kMostAutoSessions + 1;
  while (most + 1 < too_many) {
    const uint64_t middle = (most + too_many) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  return most;
}

// Where `bytes` are half of what there is.
Bound ByMemory(const Config& config, uint64_t bytes, const std::string& what) {
  const uint64_t slots = bytes / kIdleSession / config.workers;
  const uint64_t spare = SlotsOf(config.limits) - config.limits.sessions;
  return {slots - std::min(slots, spare), absl::StrCat("half of ", what, ", ", RoughSize(bytes))};
}

std::vector<Bound> MemoryBounds(const Config& config, const Means& means) {
  std::vector<Bound> bounds;
  const auto add = [&](uint64_t limit, const std::string& what) {
    if (limit != UINT64_MAX) bounds.push_back(ByMemory(config, limit / 2, what));
  };
  for (const MemoryUse& use : means.memory) {
    if (use.what == "cgroup") add(use.limit, "the control group's memory");
  }
  add(means.available, "MemAvailable");
  add(means.address_space, "RLIMIT_AS");
  add(means.data, "RLIMIT_DATA");
  return bounds;
}

}  // namespace

std::string RoughSize(uint64_t octets) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  return absl::StrCat((octets + kMiB - 1) / kMiB, " MiB");
}

FittedSessions FitSessions(const Config& config, RingKind kind, const Means& means) {
  const size_t sockets = GroupsOf(config).size();
  const auto with = [&, base = RingOptionsOf(config, kind, sockets)](uint64_t sessions) {
    RingOptions ring = base;
    ring.sessions += static_cast<uint32_t>(sessions) - config.limits.sessions;
    return ring;
  };
  std::vector<Bound> bounds = MemoryBounds(config, means);
  const uint64_t by_files = MostThatFits([&](uint64_t sessions) {
    const RingOptions ring = with(sessions);
    return TableFits(ring, means) && OpenFiles(config, ring, sockets) <= means.open_files;
  });
  bounds.push_back({by_files, absl::StrCat("RLIMIT_NOFILE, ", means.open_files)});
  bounds.push_back({kMostAutoSessions, "the ceiling of auto"});
  // Of equal ones the first counts: the ceiling says that nothing else does.
  std::ranges::reverse(bounds);
  const Bound& least = *std::ranges::min_element(bounds, {}, &Bound::sessions);
  return {static_cast<uint32_t>(std::max<uint64_t>(least.sessions, 1)), least.what};
}

RingOptions RingOptionsOf(const Config& config, RingKind kind, size_t sockets) {
  RingOptions options;
  const GlobalLimits& limits = config.limits;
  options.sessions = SlotsOf(limits);
  const uint32_t data = DataListeners(config);
  options.listeners = static_cast<uint32_t>(sockets + kSpareSockets) + data;
  options.accepts = static_cast<uint32_t>(sockets) * limits.armed_accepts + kSpareAccepts + data;
  options.small_buffers = limits.small_buffers;
  options.large_buffers = limits.large_buffers;
  options.buffers = {.unsent = static_cast<int>(limits.server_unsent),
                     .send = static_cast<int>(limits.server_send_buffer),
                     .receive = static_cast<int>(limits.server_receive_buffer)};
  options.kind = kind;
  options.features = config.ring_features;
  return options;
}

void RaiseOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Means Means::OfProcess(const std::string& root) {
  Means means{.open_files = MostOpenFiles(),
              .memory = MemoryLimits(root).Read(),
              .available = MemAvailable(root),
              .address_space = SoftLimit(RLIMIT_AS),
              .data = SoftLimit(RLIMIT_DATA),
              .ports = PortsOfKernel(root)};
  if (!MayLockMemory()) means.locked_memory = SoftLimit(RLIMIT_MEMLOCK);
  return means;
}

QueueLimit QueueLimitOf(const GlobalLimits& limits, std::vector<MemoryUse> uses) {
  for (MemoryUse& limit : ProcessLimits()) uses.push_back(std::move(limit));
  const bool follows = limits.queued_bytes == kAutoQueued;
  return QueueLimitOf(follows ? std::nullopt : std::optional(limits.queued_bytes), uses);
}

Fitting CheckFitting(const Config& config, RingKind kind, const Means& means) {
  Fitting found;
  const size_t sockets = GroupsOf(config).size();
  const RingOptions ring = RingOptionsOf(config, kind, sockets);
  CheckTable(config, ring, means, found);
  CheckFiles(config, ring, sockets, means, found);
  CheckLockedMemory(config, ring, means, found);
  CheckBlocks(config.limits, found);
  CheckMemory(config, means, found);
  CheckPorts(config, means, found);
  return found;
}

}  // namespace starling
