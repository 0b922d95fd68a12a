#include "gateway/worker/sock_diag.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace starling {
namespace {

constexpr uint8_t kTcpListen = 10;  // TCP_LISTEN, as the kernel numbers states

bool SendDump(int fd, int family) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = static_cast<uint8_t>(family);
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = 1u << kTcpListen;
  return send(fd, &message, sizeof message, 0) == static_cast<ssize_t>(sizeof message);
}

bool Matches(const inet_diag_msg& found, const Endpoint& wanted) {
  const size_t length = wanted.family == Endpoint::Family::kV6 ? 16 : 4;
  return ntohs(found.id.idiag_sport) == wanted.port &&
         std::memcmp(found.id.idiag_src, wanted.ip.data(), length) == 0;
}

// Adds to `inodes`; true when the dump is complete (or broken).
bool ReadPart(int fd, const Endpoint& wanted, std::vector<uint64_t>& inodes) {
  alignas(nlmsghdr) char buffer[32768];
  ssize_t got = recv(fd, buffer, sizeof buffer, 0);
  if (got <= 0) return true;
  for (auto* header = reinterpret_cast<nlmsghdr*>(buffer);
       NLMSG_OK(header, static_cast<uint32_t>(got)); header = NLMSG_NEXT(header, got)) {
    if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return true;
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) continue;
    const auto* found = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
    if (Matches(*found, wanted)) inodes.push_back(found->idiag_inode);
  }
  return false;
}

// The N of "socket:[N]"; 0 for any other link.
uint64_t SocketInode(const std::string& link) {
  char target[64];
  const ssize_t length = readlink(link.c_str(), target, sizeof target - 1);
  if (length <= 0) return 0;
  target[length] = '\0';
  constexpr char kPrefix[] = "socket:[";
  if (std::strncmp(target, kPrefix, sizeof kPrefix - 1) != 0) return 0;
  return std::strtoull(target + sizeof kPrefix - 1, nullptr, 10);
}

template <typename F>
void ForEachEntry(const std::string& folder, F&& use) {
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') use(std::string(entry->d_name));
  }
  closedir(dir);
}

}  // namespace

std::vector<uint64_t> ListenersOn(const SocketAddress& address) {
  std::vector<uint64_t> inodes;
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return inodes;
  const timeval timeout{.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  if (SendDump(fd, address.family())) {
    const Endpoint wanted = address.endpoint();
    while (!ReadPart(fd, wanted, inodes)) {
    }
  }
  close(fd);
  return inodes;
}

uint64_t InodeOf(int fd) {
  struct stat info{};
  return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode) ? info.st_ino : 0;
}

std::set<int> HoldersOf(const std::vector<uint64_t>& inodes, size_t& unseen) {
  const std::set<uint64_t> wanted(inodes.begin(), inodes.end());
  std::set<uint64_t> seen;
  std::set<int> holders;
  const int self = getpid();
  ForEachEntry("/proc", [&](const std::string& name) {
    const int pid = std::atoi(name.c_str());
    if (pid <= 0 || pid == self) return;
    const std::string folder = "/proc/" + name + "/fd";
    ForEachEntry(folder, [&](const std::string& fd) {
      const uint64_t inode = SocketInode(folder + "/" + fd);
      if (inode == 0 || !wanted.contains(inode)) return;
      seen.insert(inode);
      holders.insert(pid);
    });
  });
  unseen = wanted.size() - seen.size();
  return holders;
}

}  // namespace starling
