#include "gateway/worker/listen_group.h"

#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gateway/io/listen_socket.h"
#include "gateway/io/socket_buffers.h"
#include "gateway/worker/sock_diag.h"

namespace starling {
namespace {

// Accepted sockets inherit these.
void SetKeepalive(int fd, uint32_t seconds) {
  if (seconds == 0) return;
  const int on = 1;
  const int idle = static_cast<int>(seconds);
  const int interval = std::max(1, idle / 4);
  const int count = 4;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

template <size_t N>
void Attach(int fd, int option, sock_filter (&code)[N]) {
  const sock_fprog program{.len = N, .filter = code};
  // Without it connections may wait for a retransmission; none is lost by that.
  setsockopt(fd, SOL_SOCKET, option, &program, sizeof program);
}

// Group members base .. base + count - 1, at random.
void SteerTo(int fd, uint32_t base, uint32_t count) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, base),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  Attach(fd, SO_ATTACH_REUSEPORT_CBPF, code);
}

// One member; an index out of range makes the kernel hash again.
void SteerToOne(int fd, uint32_t index) {
  sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, index)};
  Attach(fd, SO_ATTACH_REUSEPORT_CBPF, code);
}

// A TCP socket's filter sees the segment from its TCP header on. SYN without ACK
// begins a connection; the ACK that completes one must pass.
void DropNewConnections(int fd) {
  constexpr uint32_t kFlagsOffset = 13;
  constexpr uint32_t kSyn = 0x02;
  constexpr uint32_t kSynAck = 0x12;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsOffset),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSynAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  Attach(fd, SO_ATTACH_FILTER, code);
}

}  // namespace

std::vector<ListenGroup> GroupsOf(const Config& config) {
  std::vector<ListenGroup> groups;
  for (uint32_t i = 0; i < config.listeners.size(); ++i) {
    for (const SocketAddress& address : config.listeners[i].bind) {
      groups.push_back(ListenGroup{.listener = i, .address = address, .fds = {}});
    }
  }
  return groups;
}

absl::Status Bind(const Config& config, std::vector<ListenGroup>& groups) {
  for (ListenGroup& group : groups) {
    for (uint32_t worker = 0; worker < config.workers; ++worker) {
      absl::StatusOr<int> fd = ListenOn(group.address, static_cast<int>(config.limits.backlog));
      if (!fd.ok()) {
        CloseAll(groups);
        return absl::Status(fd.status().code(),
                            absl::StrCat("listener ", config.listeners[group.listener].name, ": ",
                                         fd.status().message()));
      }
      SetKeepalive(*fd, config.limits.keepalive_s);
      group.fds.push_back(*fd);
    }
    LimitBuffers(config.listeners[group.listener], group);
  }
  return absl::OkStatus();
}

void LimitBuffers(const ListenerConfig& listener, const ListenGroup& group) {
  if (group.address.is_unix()) return;
  const ListenerLimits& limits = listener.limits;
  for (const int fd : group.fds) {
    SetBuffers(fd, {.unsent = static_cast<int>(limits.unsent),
                    .send = static_cast<int>(limits.send_buffer),
                    .receive = static_cast<int>(limits.receive_buffer)});
  }
}

void CloseAll(std::vector<ListenGroup>& groups) {
  for (ListenGroup& group : groups) {
    for (const int fd : group.fds) close(fd);
    group.fds.clear();
  }
}

std::vector<ListenerHandoff::Found> ListenerHandoff::Steer() {
  std::vector<Found> report;
  for (const ListenGroup& group : groups_) {
    const auto ours = static_cast<uint32_t>(group.fds.size());
    std::vector<uint64_t> others = ListenersOn(group.address);
    for (const int fd : group.fds) std::erase(others, InodeOf(fd));
    Plan plan;
    const std::string address = group.address.ToString();
    if (others.empty()) {
      report.push_back({address, "none"});
    } else {
      size_t unseen = 0;
      const std::set<int> holders = HoldersOf(others, unseen);
      // Without the right to look into the other (it is not dumpable, and we are
      // not root) there is taken to be one: a third would cost its clients a
      // retransmission, nothing more.
      const bool one = holders.size() == 1 && unseen == 0;
      if (one || holders.empty()) {
        plan.successors = static_cast<uint32_t>(others.size());
        report.push_back(
            {address,
             one ? absl::StrCat("process ", *holders.begin(), ", ", plan.successors, " sockets")
                 : absl::StrCat("another process, ", plan.successors, " sockets")});
      } else {
        report.push_back({address, absl::StrCat("unclear: ", others.size(), " sockets of ",
                                                holders.size(), " known processes, ", unseen,
                                                " of unknown ones; clients may need a "
                                                "retransmission")});
      }
    }
    // First the steering: a client whose SYN is dropped waits a second and then
    // meets the same socket again.
    if (plan.successors > 0) SteerTo(group.fds[0], ours, plan.successors);
    for (const int fd : group.fds) DropNewConnections(fd);
    plans_.push_back(plan);
  }
  return report;
}

void ListenerHandoff::Close() {
  for (size_t i = 0; i < groups_.size(); ++i) {
    std::vector<int>& fds = groups_[i].fds;
    const uint32_t successors = i < plans_.size() ? plans_[i].successors : 0;
    // Each that leaves is replaced by the group's last, so the first of the
    // successor's is always right behind those of ours that are left.
    while (!fds.empty()) {
      if (successors > 0) {
        const auto left = static_cast<uint32_t>(fds.size());
        SteerToOne(fds[0], left > 1 ? left : successors);
      }
      close(fds.back());
      fds.pop_back();
    }
  }
}

}  // namespace starling
