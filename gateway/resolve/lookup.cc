#include "gateway/resolve/lookup.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/limits.h"
#include "gateway/resolve/dns_message.h"
#include "gateway/resolve/search_list.h"

namespace starling {
namespace {

constexpr std::array kFamilies = {Endpoint::Family::kV4, Endpoint::Family::kV6};
// The library waits twice as long in each try. With a first wait of a seventh of the time, three
// tries take all of it.
constexpr int kTries = 3;
constexpr uint32_t kFirstWaitPart = 7;

// c-ares must be told once that it is used. It is never told that it is not.
int InitLibrary() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

bool IsNothing(int status) { return status == ARES_ENODATA || status == ARES_ENOTFOUND; }

}  // namespace

struct Lookup::Impl {
  // One question to the DNS, and its answer.
  struct Asked {
    Impl* owner = nullptr;
    std::optional<int> status;
    std::vector<uint8_t> message;
  };
  // A host whose addresses are servers, with one question for each family.
  struct Host {
    std::string name;
    SrvRecord record;  // what its addresses get
    std::array<Asked*, 2> asked{};
  };

  Impl(const NameQuery& of, const LookupOptions& with, const std::vector<FoundAddress>& known_in,
       Clock::time_point now)
      : query(of),
        options(with),
        known(known_in),
        deadline(now + std::chrono::milliseconds(with.timeout_ms)) {}
  ~Impl() { Finish(LookupResult::kFailure); }

  bool Open();
  bool ReadHostsFile();
  void Start();
  Asked* Ask(const std::string& name, int type);
  void AskCandidate();
  void AskHosts(std::vector<Host> wanted);
  void Advance();
  void TakeSrv();
  void TakeHosts();
  size_t AddFresh(const Host& host);
  void AddKnown(const Host& host, Endpoint::Family family);
  void NoteFailure(const std::string& name, int status);
  void NextCandidate();
  void Finish(LookupResult result);

  const NameQuery query;
  const LookupOptions options;
  const std::vector<FoundAddress> known;
  const Clock::time_point deadline;
  ares_channel channel = nullptr;
  std::vector<std::string> candidates;
  size_t candidate = 0;
  std::deque<Asked> questions;  // they keep their addresses
  Asked* srv = nullptr;         // the running question for SRV records
  std::vector<Host> hosts;      // those that are being asked for
  size_t pending = 0;
  uint32_t ttl_s = UINT32_MAX;
  bool exists = false;     // the name, though it has no address
  bool failed = false;     // a part of the look-up
  bool timed_out = false;  // the same
  bool over = false;
  Answer answer;
};

// --- Asking ---

bool Lookup::Impl::Open() {
  if (InitLibrary() != ARES_SUCCESS) return false;
  std::string file = options.resolv_conf;
  ares_options given{};
  given.flags = ARES_FLAG_EDNS;
  given.timeout = static_cast<int>(std::max(options.timeout_ms / kFirstWaitPart, 1u));
  given.tries = kTries;
  given.resolvconf_path = file.data();
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
  if (!file.empty()) mask |= ARES_OPT_RESOLVCONF;
  if (ares_init_options(&channel, &given, mask) != ARES_SUCCESS) {
    channel = nullptr;
    return false;
  }
  if (!options.servers.empty() &&
      ares_set_servers_ports_csv(channel, options.servers.c_str()) != ARES_SUCCESS) {
    return false;
  }
  ares_options found{};
  int known_mask = 0;
  if (ares_save_options(channel, &found, &known_mask) != ARES_SUCCESS) return false;
  std::vector<std::string> domains;
  for (const char* domain : std::span(found.domains, static_cast<size_t>(found.ndomains))) {
    domains.emplace_back(domain);
  }
  candidates = SearchList(query.name, domains, found.ndots);
  ares_destroy_options(&found);
  return true;
}

// The names of this machine, of a container's --add-host and of a pod's hostAliases.
bool Lookup::Impl::ReadHostsFile() {
  for (size_t f = 0; f < kFamilies.size(); ++f) {
    const int family = kFamilies[f] == Endpoint::Family::kV4 ? AF_INET : AF_INET6;
    hostent* entry = nullptr;
    if (ares_gethostbyname_file(channel, query.name.c_str(), family, &entry) != ARES_SUCCESS) {
      continue;
    }
    for (char** at = entry->h_addr_list; *at != nullptr; ++at) {
      FoundAddress found{.family = kFamilies[f], .port = query.port};
      std::memcpy(found.ip.data(), *at, static_cast<size_t>(entry->h_length));
      answer.addresses.push_back(found);
    }
    ares_free_hostent(entry);
  }
  ttl_s = kHostsFileTtlS;
  return !answer.addresses.empty();
}

void Lookup::Impl::Start() {
  if (!Open()) {
    answer.error = "the system denies memory or descriptors";
    Finish(LookupResult::kFailure);
  } else if (!query.srv && ReadHostsFile()) {
    Finish(LookupResult::kAnswer);
  } else {
    ttl_s = UINT32_MAX;
    AskCandidate();
    Advance();
  }
}

Lookup::Impl::Asked* Lookup::Impl::Ask(const std::string& name, int type) {
  Asked& asked = questions.emplace_back(Asked{.owner = this, .status = {}, .message = {}});
  ++pending;
  // The library may answer before this returns.
  ares_query(
      channel, name.c_str(), ns_c_in, type,
      [](void* arg, int status, int, unsigned char* message, int size) {
        auto& done = *static_cast<Asked*>(arg);
        done.status = status;
        if (message != nullptr && size > 0) done.message.assign(message, message + size);
        --done.owner->pending;
      },
      &asked);
  return &asked;
}

void Lookup::Impl::AskCandidate() {
  const std::string& name = candidates[candidate];
  if (query.srv) {
    srv = Ask(name, ns_t_srv);
  } else {
    AskHosts({Host{.name = name, .record = {.target = {}, .port = query.port}}});
  }
}

void Lookup::Impl::AskHosts(std::vector<Host> wanted) {
  hosts = std::move(wanted);
  for (Host& host : hosts) host.asked = {Ask(host.name, ns_t_a), Ask(host.name, ns_t_aaaa)};
}

// --- What is known when all questions are answered ---

void Lookup::Impl::Advance() {
  while (!over && pending == 0) {
    if (srv != nullptr) {
      TakeSrv();
    } else {
      TakeHosts();
    }
  }
}

void Lookup::Impl::NoteFailure(const std::string& name, int status) {
  failed = true;
  timed_out = timed_out || status == ARES_ETIMEOUT;
  answer.error = absl::StrCat(name, ": ", ares_strerror(status));
}

void Lookup::Impl::TakeSrv() {
  const Asked& asked = *std::exchange(srv, nullptr);
  const std::string& name = candidates[candidate];
  if (*asked.status != ARES_SUCCESS) {
    exists = exists || *asked.status == ARES_ENODATA;
    if (!IsNothing(*asked.status)) NoteFailure(name, *asked.status);
    return NextCandidate();
  }
  std::optional<SrvRecords> read = ReadSrv(asked.message);
  if (!read) {
    NoteFailure(name, ARES_EBADRESP);
    return NextCandidate();
  }
  exists = true;
  ttl_s = read->ttl_s;
  std::vector<Host> targets;
  for (SrvRecord& record : read->records) {
    // RFC 2782: the root as the target says that there is no such service.
    if (record.target.empty() || record.target == "." || record.port == 0) continue;
    if (targets.size() == kMaxSrvTargets) {
      ++answer.left_out;
      continue;
    }
    targets.push_back({.name = record.target, .record = std::move(record)});
  }
  if (targets.empty()) return NextCandidate();
  AskHosts(std::move(targets));
}

// How many addresses the host has, of those that were asked for now.
size_t Lookup::Impl::AddFresh(const Host& host) {
  std::vector<Endpoint> fresh;
  for (size_t f = 0; f < kFamilies.size(); ++f) {
    const Asked& asked = *host.asked[f];
    exists = exists || *asked.status == ARES_ENODATA;
    if (IsNothing(*asked.status)) continue;
    std::optional<AddressRecords> read;
    if (*asked.status == ARES_SUCCESS) read = ReadAddresses(asked.message, kFamilies[f]);
    if (!read) {
      NoteFailure(host.name, *asked.status == ARES_SUCCESS ? ARES_EBADRESP : *asked.status);
      AddKnown(host, kFamilies[f]);
      continue;
    }
    exists = true;  // aliases at least
    if (read->addresses.empty()) continue;
    ttl_s = std::min(ttl_s, read->ttl_s);
    fresh.insert(fresh.end(), read->addresses.begin(), read->addresses.end());
  }
  for (const Endpoint& address : fresh) {
    const uint32_t weight = query.srv ? WeightOfRecord(host.record.weight, fresh.size()) : 1;
    answer.addresses.push_back({.priority = host.record.priority,
                                .family = address.family,
                                .ip = address.ip,
                                .port = host.record.port,
                                .weight = weight});
  }
  return fresh.size();
}

// A family that could not be asked for stays as it was.
void Lookup::Impl::AddKnown(const Host& host, Endpoint::Family family) {
  for (const FoundAddress& address : known) {
    if (address.family == family && address.port == host.record.port &&
        address.priority == host.record.priority) {
      answer.addresses.push_back(address);
    }
  }
}

void Lookup::Impl::TakeHosts() {
  size_t fresh = 0;
  for (const Host& host : std::exchange(hosts, {})) fresh += AddFresh(host);
  if (fresh > 0) return Finish(LookupResult::kAnswer);
  answer.addresses.clear();
  NextCandidate();
}

// With another candidate, another name would be asked for: not because the right one could not be
// asked for now.
void Lookup::Impl::NextCandidate() {
  const bool stops = failed && !known.empty();
  // Records without usable addresses are an answer.
  const bool is_answer = query.srv && ttl_s != UINT32_MAX;
  if (!stops && !is_answer && ++candidate < candidates.size()) return AskCandidate();
  if (failed) return Finish(timed_out ? LookupResult::kTimeout : LookupResult::kFailure);
  Finish(exists ? LookupResult::kNoAddress : LookupResult::kNoName);
}

void Lookup::Impl::Finish(LookupResult result) {
  if (std::exchange(over, true)) return;
  answer.result = result;
  answer.ttl_s = ttl_s == UINT32_MAX ? 0 : ttl_s;
  if (result == LookupResult::kAnswer) {
    Tidy(answer);
  } else {
    answer.addresses.clear();
  }
  // Questions that are still open are answered by this.
  if (channel != nullptr) ares_destroy(std::exchange(channel, nullptr));
}

// --- The outside ---

Lookup::Lookup(const NameQuery& query, const LookupOptions& options,
               const std::vector<FoundAddress>& known, Clock::time_point now)
    : impl_(std::make_unique<Impl>(query, options, known, now)) {
  impl_->Start();
}

Lookup::~Lookup() = default;

bool Lookup::over() const { return impl_->over; }
const Answer& Lookup::answer() const { return impl_->answer; }

void Lookup::AddTo(std::vector<pollfd>& polled) const {
  if (impl_->over) return;
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets;
  const auto wanted = static_cast<unsigned>(
      ares_getsock(impl_->channel, sockets.data(), static_cast<int>(sockets.size())));
  for (unsigned i = 0; i < sockets.size(); ++i) {
    short events = 0;
    if ((wanted & (1u << i)) != 0) events |= POLLIN;
    if ((wanted & (1u << (i + ARES_GETSOCK_MAXNUM))) != 0) events |= POLLOUT;
    if (events != 0) polled.push_back({.fd = sockets[i], .events = events, .revents = 0});
  }
}

Lookup::Clock::time_point Lookup::wake_at() const {
  if (impl_->over) return Clock::time_point::min();
  timeval left{};
  const Clock::time_point now = Clock::now();
  if (ares_timeout(impl_->channel, nullptr, &left) == nullptr) return impl_->deadline;
  return std::min(impl_->deadline, now + std::chrono::seconds(left.tv_sec) +
                                       std::chrono::microseconds(left.tv_usec));
}

void Lookup::Turn(const pollfd* polled, size_t count, Clock::time_point now) {
  if (impl_->over) return;
  for (const pollfd& one : std::span(polled, count)) {
    if (one.revents == 0) continue;
    const bool broken = (one.revents & (POLLERR | POLLHUP)) != 0;
    const bool reads = broken || (one.revents & POLLIN) != 0;
    const bool writes = (one.revents & POLLOUT) != 0;
    ares_process_fd(impl_->channel, reads ? one.fd : ARES_SOCKET_BAD,
                    writes ? one.fd : ARES_SOCKET_BAD);
  }
  ares_process_fd(impl_->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what has taken too long
  impl_->Advance();
  if (impl_->over || now < impl_->deadline) return;
  impl_->answer.error = absl::StrCat(impl_->query.name, ": ", ares_strerror(ARES_ETIMEOUT));
  impl_->Finish(LookupResult::kTimeout);
}

}  // namespace starling
