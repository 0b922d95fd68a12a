#include "gateway/io/uring/uring_probe.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "gateway/io/uring/uring_compat.h"
#include "gateway/io/uring/uring_setup.h"

namespace starling::uring {
namespace {

constexpr char kSetupCall[] = "io_uring_setup";
constexpr char kSeccompRemedy[] =
    "a seccomp filter forbids io_uring, as container runtimes' default profiles do: allow "
    "io_uring_setup, io_uring_enter and io_uring_register in the profile (docker run "
    "--security-opt seccomp=FILE, Kubernetes securityContext.seccompProfile type Localhost; the "
    "systemd unit's SystemCallFilter=@io-event io_uring_setup io_uring_enter io_uring_register)";
constexpr char kSysctlRemedy[] =
    "the sysctl kernel.io_uring_disabled forbids it: as root, sysctl -w "
    "kernel.io_uring_disabled=0 (and a file in /etc/sysctl.d to keep it), or set it to 1 and put "
    "the gateway's group into kernel.io_uring_group";
constexpr char kSandboxRemedy[] =
    "a sandbox or an emulator without io_uring, such as gVisor or qemu-user, is between the "
    "gateway and Linux: run the gateway outside it, or switch io_uring on in it (runsc --iouring)";
constexpr char kKernelRemedy[] = "Linux 6.1 or newer is needed, built with CONFIG_IO_URING";

// Only for messages: nothing decides by the release what the kernel can do.
bool AtLeast(const std::string& release, int major, int minor) {
  int have_major = 0;
  int have_minor = 0;
  if (sscanf(release.c_str(), "%d.%d", &have_major, &have_minor) != 2) return false;
  return have_major > major || (have_major == major && have_minor >= minor);
}

RingUnavailable Cause(const ProbeFacts& facts) {
  switch (facts.error) {
    case EPERM:
    case EACCES:
      if (facts.sysctl == 2 || (facts.sysctl == 1 && !facts.sys_admin)) {
        return RingUnavailable::kSysctl;
      }
      return RingUnavailable::kSeccomp;
    case ENOSYS:
      // Since 6.6 this file exists exactly if the kernel has the system calls.
      if (facts.sysctl >= 0) {
        return facts.seccomp ? RingUnavailable::kSeccomp : RingUnavailable::kSandbox;
      }
      if (facts.seccomp && AtLeast(facts.release, 6, 1) && !AtLeast(facts.release, 6, 6)) {
        return RingUnavailable::kSeccomp;
      }
      return RingUnavailable::kOldKernel;
    case ENOMEM:
      return RingUnavailable::kMemoryLimit;
    case EOPNOTSUPP:
      // Linux says this only of what it lacks (Missing()), never of the call itself.
      if (facts.call != kSetupCall) return RingUnavailable::kOldKernel;
      return facts.seccomp ? RingUnavailable::kSeccomp : RingUnavailable::kSandbox;
    case EINVAL:
      return RingUnavailable::kOldKernel;
    default:
      return RingUnavailable::kOther;
  }
}

ProbeFacts Gather(const std::string& call, int error) {
  ProbeFacts facts;
  facts.call = call;
  facts.error = error;
  if (std::ifstream file("/proc/sys/kernel/io_uring_disabled"); file) file >> facts.sysctl;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Seccomp:")) facts.seccomp = strtol(line.c_str() + 8, nullptr, 10) == 2;
    if (line.starts_with("CapEff:")) {
      constexpr int kCapSysAdmin = 21;
      facts.sys_admin = strtoull(line.c_str() + 7, nullptr, 16) >> kCapSysAdmin & 1;
    }
  }
  utsname name{};
  if (uname(&name) == 0) facts.release = name.release;
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) facts.memlock = limit.rlim_cur;
  return facts;
}

RingProbe Failure(const std::string& call, int result) { return Explain(Gather(call, -result)); }

// Returns what the kernel lacks of 6.1. Tries or queries each feature, to recognise
// kernels that were built without some.
std::optional<RingProbe> Missing(io_uring* queue, const io_uring_probe& probe) {
  constexpr uint32_t kNeeded = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                               IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP | IORING_FEAT_LINKED_FILE;
  if ((queue->features & kNeeded) != kNeeded) {
    return Failure(absl::StrCat("io_uring_setup: has features 0x", absl::Hex(queue->features),
                                ", needs 0x", absl::Hex(kNeeded)),
                   -EOPNOTSUPP);
  }
  for (int operation : {IORING_OP_ACCEPT, IORING_OP_SOCKET, IORING_OP_CONNECT, IORING_OP_SEND,
                        IORING_OP_RECV, IORING_OP_ASYNC_CANCEL, IORING_OP_SHUTDOWN, IORING_OP_CLOSE,
                        IORING_OP_READ, IORING_OP_FILES_UPDATE}) {
    if (!io_uring_opcode_supported(&probe, operation)) {
      return Failure(absl::StrCat("io_uring operation ", operation), -EOPNOTSUPP);
    }
  }
  if (int result = RegisterTable(queue, 8, 4); result != 0) {
    return Failure("registering a descriptor table with io_uring", result);
  }
  const size_t size = sizeof(io_uring_buf);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Failure("mmap", -errno);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = 1;
  const int result = io_uring_register_buf_ring(queue, &registration, 0);
  if (result == 0) io_uring_unregister_buf_ring(queue, 0);
  munmap(memory, size);
  if (result != 0) return Failure("registering receive buffers with io_uring", result);
  return std::nullopt;
}

// Sets TCP_NODELAY on a socket in the table, as upstream connections do.
bool SocketOptionsWork(io_uring* queue) {
  static constexpr int kOn = 1;
  io_uring_sqe* socket = &queue->sq.sqes[0];
  io_uring_sqe* option = &queue->sq.sqes[1];
  memset(socket, 0, 2 * sizeof(*socket));
  socket->opcode = IORING_OP_SOCKET;
  socket->flags = IOSQE_IO_LINK;
  socket->fd = AF_INET;
  socket->off = SOCK_STREAM;
  socket->file_index = 1;
  option->opcode = IORING_OP_URING_CMD;
  option->flags = IOSQE_FIXED_FILE;
  option->fd = 0;
  option->user_data = 1;
  SetSocketOption(option, IPPROTO_TCP, TCP_NODELAY, &kOn);
  io_uring_smp_store_release(queue->sq.ktail, *queue->sq.ktail + 2);
  if (io_uring_enter(queue->ring_fd, 2, 2, IORING_ENTER_GETEVENTS, nullptr) != 2) return false;
  bool works = false;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(queue, head, cqe) {
    if (cqe->user_data == 1) works = cqe->res == 0;
  }
  return works;
}

}  // namespace

RingProbe Explain(const ProbeFacts& facts) {
  RingProbe probe;
  probe.unavailable = Cause(facts);
  probe.features = RingFeatures::None();
  std::string remedy;
  switch (probe.unavailable) {
    case RingUnavailable::kSysctl:
      remedy = kSysctlRemedy;
      break;
    case RingUnavailable::kSeccomp:
      remedy = kSeccompRemedy;
      break;
    case RingUnavailable::kSandbox:
      remedy = kSandboxRemedy;
      break;
    case RingUnavailable::kMemoryLimit:
      remedy = absl::StrCat("locked memory is limited to ", facts.memlock,
                            " octets (RLIMIT_MEMLOCK): raise it (ulimit -l, LimitMEMLOCK=), or "
                            "the memory limit of the container");
      break;
    case RingUnavailable::kOldKernel:
      remedy = absl::StrCat(kKernelRemedy, "; this is ", facts.release);
      break;
    case RingUnavailable::kOther:
    case RingUnavailable::kNo:
      remedy = "the kernel gave an unexpected answer";
      break;
  }
  probe.message = absl::StrCat("io_uring is not available: ", facts.call, ": ",
                               strerror(facts.error), "; ", remedy);
  return probe;
}

RingProbe ProbeRing() {
  RingProbe result;
  io_uring queue{};
  bool defer_taskrun = true;
  if (int error = SetUpQueues(4, 8, &defer_taskrun, &queue); error != 0) {
    return Failure(kSetupCall, error);
  }
  std::unique_ptr<io_uring, void (*)(io_uring*)> closer(&queue, io_uring_queue_exit);
  std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(io_uring_get_probe_ring(&queue),
                                                                   io_uring_free_probe);
  if (probe == nullptr) return Failure("asking io_uring for its operations", -EINVAL);
  if (auto missing = Missing(&queue, *probe)) return *missing;
  if (int error = Enable(&queue); error != 0) {
    return Failure("enabling an io_uring", error);
  }
  result.features.defer_taskrun = defer_taskrun;
  result.features.socket_options = SocketOptionsWork(&queue);
  result.features.fixed_fd_install = io_uring_opcode_supported(probe.get(), kOpFixedFdInstall);
  result.features.min_wait = (queue.features & kFeatMinTimeout) != 0;
  result.message = "io_uring is available with " + result.features.ToString();
  return result;
}

}  // namespace starling::uring
