// A reload that adds addresses, with workers whose rings have no place for them.
//
// Not for: what a reload does to sessions (tests/e2e/test_reload.py).
#include "gateway/reload.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/config/loader.h"
#include "gateway/gateway_state.h"
#include "gateway/io/listen_socket.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/worker/table_ring.h"

namespace starling {
namespace {

constexpr size_t kWorkers = 2;
constexpr size_t kPlaces = 3;

// Free a moment ago.
uint16_t FreePort() {
  const SocketAddress any = SocketAddress::Parse("127.0.0.1:0").value();
  const int fd = ListenOn(any, 1).value();
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length), 0);
  close(fd);
  return SocketAddress::FromKernel(reinterpret_cast<sockaddr*>(&storage), length).endpoint().port;
}

// Of this process; the prober's sockets come and go.
size_t ListeningSockets() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    int listening = 0;
    socklen_t length = sizeof(listening);
    const int fd = std::stoi(entry.path().filename());
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
    count += listening != 0 ? 1 : 0;
  }
  return count;
}

class ReloadTest : public testing::Test {
 protected:
  ReloadTest() {
    std::string pattern = testing::TempDir() + "/reloadXXXXXX";
    folder_ = mkdtemp(pattern.data());
    const TestCertificate made = MakeTestCertificate();
    Write("cert.pem", made.cert);
    Write("key.pem", made.key);
    log_fd_ = open(Path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    Configure({FreePort()});
    LoadResult loaded = LoadConfigFile(Path("starling.yaml"), LoadEnvironment::OfSystem());
    EXPECT_TRUE(loaded.ok()) << loaded.ErrorText();
    StartState(std::make_shared<const Config>(std::move(loaded.config)));
    reload_ = std::make_unique<Reload>(state_, LoadDenyFiles(*state_.config, state_.listener_ids));
  }
  ~ReloadTest() override {
    reload_.reset();
    state_.workers.clear();
    state_.prober.reset();
    CloseAll(state_.groups);
    state_.log.reset();
    close(log_fd_);
    std::filesystem::remove_all(folder_);
  }

  void StartState(const std::shared_ptr<const Config>& config) {
    state_.config = state_.started_with = config;
    state_.own_tickets = MakeTicketKeys();
    state_.groups = GroupsOf(*config);
    state_.most_sockets = 16;
    ASSERT_TRUE(Bind(*config, state_.groups).ok());
    TlsAssets assets = LoadTlsAssets(*config, state_.store, state_.own_tickets);
    ASSERT_TRUE(assets.ok());
    const ConfigSnapshot snapshot = state_.MakeSnapshot(config, assets).value();
    Exporter::Sources sources;
    for (size_t i = 0; i < kWorkers; ++i) {
      state_.shards.push_back(std::make_unique<Shard>(kMaxListenerNames, kMaxServerNames));
      auto ring = std::make_unique<TableRing>(kPlaces);
      rings_.push_back(ring.get());
      state_.workers.push_back(
          std::make_unique<Worker>(WorkerOptions{.shard = state_.shards[i].get(),
                                                 .config = WorkerConfig::Make(snapshot).value(),
                                                 .ring = std::move(ring),
                                                 .accepts = 64,
                                                 .sources = &state_.source_table}));
      const ListenGroup& group = state_.groups[0];
      ASSERT_TRUE(
          state_.workers[i]->AddListener({group.listener, dup(group.fds[i]), group.address}).ok());
      ASSERT_TRUE(state_.workers[i]->Start().ok());
    }
    state_.exporter = std::make_shared<Exporter>(std::move(sources));
    state_.log = std::make_unique<Log>(Log::Options{.fd = log_fd_});
    state_.Activate(snapshot, std::move(assets), state_.MakeProber(snapshot));
  }

  // One listener on those ports.
  void Configure(const std::vector<uint16_t>& ports) {
    std::string bind;
    for (const uint16_t port : ports) absl::StrAppend(&bind, " \"127.0.0.1:", port, "\",");
    bind.pop_back();
    Write("starling.yaml",
          absl::StrCat("workers: ", kWorkers, "\ntls: {certificates: [{cert: ", Path("cert.pem"),
                       ", key: ", Path("key.pem"), "}]}\n", "listeners:\n  - {name: a, bind: [",
                       bind, "], protocol: tcp, tls: implicit, backend: b}\n",
                       "backends:\n  - {name: b, servers: [\"127.0.0.1:1\"]}\n"));
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name), std::ios::trunc) << text;
    std::filesystem::permissions(
        Path(name), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  std::string LogText() {
    std::ifstream file(Path("log"));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // The main thread's steps and the workers' turns, until `done` or for a minute.
  template <typename Done>
  bool RunUntil(Done done) {
    const MonoTime end = MonotonicNow() + std::chrono::minutes(1);
    while (MonotonicNow() < end) {
      reload_->Step(MonotonicNow());
      for (const auto& worker : state_.workers) worker->Turn(/*wait=*/false);
      if (done()) return true;
    }
    return false;
  }
  bool Applied(uint64_t generation) const {
    return state_.workers[0]->applied_generation() == generation &&
           state_.workers[1]->applied_generation() == generation;
  }

  std::string folder_;
  int log_fd_ = -1;
  GatewayState state_;
  std::vector<TableRing*> rings_;
  std::unique_ptr<Reload> reload_;
};

TEST_F(ReloadTest, IsRefusedWhereOneWorkerHasNoPlace) {
  const SocketAddress kept = state_.groups[0].address;
  const size_t sockets = ListeningSockets();
  // As many data channels are waited for as there are places.
  rings_[1]->SetOthers(kPlaces - 1);
  const uint16_t fresh = FreePort();
  Configure({kept.endpoint().port, fresh});
  reload_->Ask();
  EXPECT_TRUE(RunUntil([&] { return LogText().find("level=error") != std::string::npos; }));
  const std::string said = LogText();
  EXPECT_NE(said.find("worker 1 has no place for the new addresses: the table is full"),
            std::string::npos)
      << said;
  RunUntil([&] { return rings_[0]->listeners() == 1; });
  // The old configuration goes on, and nothing is left of the new one.
  EXPECT_EQ(state_.generation, 1u);
  EXPECT_TRUE(Applied(1));
  EXPECT_EQ(state_.groups.size(), 1u);
  for (const TableRing* ring : rings_) {
    EXPECT_EQ(ring->listeners(), 1u);
    EXPECT_EQ(ring->armed(), 1u);
  }
  EXPECT_EQ(ListeningSockets(), sockets);
  const SocketAddress address = SocketAddress::Parse(absl::StrCat("127.0.0.1:", fresh)).value();
  const absl::StatusOr<int> free = ListenOn(address, 1);
  EXPECT_TRUE(free.ok()) << "nobody listens there";
  if (free.ok()) close(*free);
}

TEST_F(ReloadTest, WaitsForAPlaceThatBecomesFree) {
  rings_[1]->SetOthers(kPlaces - 1);
  Configure({state_.groups[0].address.endpoint().port, FreePort()});
  reload_->Ask();
  // The first worker has them before the second has found none.
  EXPECT_TRUE(RunUntil([&] { return rings_[0]->listeners() == 2; }));
  EXPECT_EQ(state_.generation, 1u);
  rings_[1]->SetOthers(0);
  EXPECT_TRUE(RunUntil([&] { return Applied(2); }));
  for (const TableRing* ring : rings_) {
    EXPECT_EQ(ring->listeners(), 2u);
    EXPECT_EQ(ring->armed(), 2u);
  }
  EXPECT_EQ(LogText().find("level=error"), std::string::npos);
}

TEST_F(ReloadTest, IsDroppedWhenADrainBegins) {
  const size_t sockets = ListeningSockets();
  rings_[1]->SetOthers(kPlaces - 1);
  Configure({state_.groups[0].address.endpoint().port, FreePort()});
  reload_->Ask();
  EXPECT_TRUE(RunUntil([&] { return rings_[0]->listeners() == 2; }));
  reload_->Abandon();
  for (const auto& worker : state_.workers) worker->Turn(/*wait=*/false);
  for (const TableRing* ring : rings_) EXPECT_EQ(ring->listeners(), 1u);
  EXPECT_EQ(state_.groups.size(), 1u);
  EXPECT_EQ(ListeningSockets(), sockets);
}

}  // namespace
}  // namespace starling
