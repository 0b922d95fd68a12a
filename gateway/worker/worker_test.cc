// The worker's part of a reload, on a ring whose table of listening sockets fills up.
//
// Not for: sessions (tests/sim), or what the main thread makes of the answers (reload.cc).
#include "gateway/worker/worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/tls/credential_index.h"
#include "gateway/tls/credential_store.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/worker/table_ring.h"
#include "protocols/registry.h"

namespace starling {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    const TestCertificate made = MakeTestCertificate();
    credential_ = CredentialStore().LoadPem({"test.crt", "test.key"}, made.cert, made.key).value();
    auto ring = std::make_unique<TableRing>(3);
    ring_ = ring.get();
    worker_ = std::make_unique<Worker>(WorkerOptions{.shard = &shard_,
                                                     .config = Make({"127.0.0.1:1"}),
                                                     .ring = std::move(ring),
                                                     .accepts = 64,
                                                     .sources = &sources_});
    EXPECT_TRUE(worker_->AddListener(Socket("127.0.0.1:1")).ok());
    EXPECT_TRUE(worker_->Start().ok());
    Turn();
  }

  // One listener on those addresses, as the next generation.
  std::unique_ptr<WorkerConfig> Make(const std::vector<std::string>& addresses) {
    Config config;
    ListenerConfig& listener = config.listeners.emplace_back();
    listener.protocol = FindProtocol("tcp");
    for (const std::string& address : addresses) {
      listener.bind.push_back(SocketAddress::Parse(address).value());
    }
    ConfigSnapshot snapshot;
    snapshot.generation = ++generation_;
    snapshot.config = std::make_shared<const Config>(config);
    snapshot.backends =
        std::make_shared<Backends>(config.backends, [](const auto&, const auto&) { return 0; });
    snapshot.ids = {0};
    snapshot.policies = {
        {.certificates = MakeCredentialIndex({credential_}), .tickets = MakeTicketKeys()}};
    snapshot.policy_of = {0};
    return WorkerConfig::Make(snapshot).value();
  }

  static NewSocket Socket(const std::string& address) {
    return {0, eventfd(0, EFD_CLOEXEC), SocketAddress::Parse(address).value()};
  }
  void Turn() { worker_->Turn(/*wait=*/false); }

  std::shared_ptr<const Credential> credential_;
  Shard shard_{1, 1};
  SourceTable sources_{HashKey{1, 2}};
  uint64_t generation_ = 0;
  TableRing* ring_ = nullptr;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, NewAddressesAreTakenWholeOrNotAtAll) {
  ring_->SetOthers(1);
  const std::vector<NewSocket> wanted = {Socket("127.0.0.1:2"), Socket("127.0.0.1:3"),
                                         Socket("127.0.0.1:4")};
  worker_->Reserve(wanted);
  EXPECT_FALSE(worker_->reserved().has_value()) << "the worker has not had a turn";
  Turn();
  ASSERT_TRUE(worker_->reserved().has_value());
  EXPECT_EQ(worker_->reserved()->message(), "the table is full");
  EXPECT_EQ(ring_->listeners(), 1u);
  for (const NewSocket& socket : wanted) EXPECT_FALSE(IsOpen(socket.os_fd));
  // The old configuration goes on.
  EXPECT_EQ(worker_->applied_generation(), 1u);
  EXPECT_EQ(ring_->armed(), 1u);

  // Another try, when the data channels are gone.
  ring_->SetOthers(0);
  worker_->Reserve({Socket("127.0.0.1:2"), Socket("127.0.0.1:3")});
  Turn();
  EXPECT_TRUE(worker_->reserved()->ok());
  EXPECT_EQ(ring_->listeners(), 3u);
  EXPECT_EQ(ring_->armed(), 1u) << "nobody is accepted there yet";
  worker_->Apply(Make({"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}));
  Turn();
  EXPECT_EQ(worker_->applied_generation(), 2u);
  EXPECT_EQ(ring_->armed(), 3u);
  EXPECT_EQ(worker_->TakeRetired().size(), 1u);
}

TEST_F(WorkerTest, WhatIsHeldIsGivenUpAgain) {
  const NewSocket held = Socket("127.0.0.1:2");
  worker_->Reserve({held});
  Turn();
  EXPECT_TRUE(worker_->reserved()->ok());
  EXPECT_TRUE(IsOpen(held.os_fd));
  worker_->Reserve({});
  Turn();
  EXPECT_FALSE(IsOpen(held.os_fd));
  EXPECT_EQ(ring_->listeners(), 1u);
  // A configuration without that address opens nothing.
  worker_->Apply(Make({"127.0.0.1:1"}));
  Turn();
  EXPECT_EQ(worker_->applied_generation(), 2u);
  EXPECT_EQ(ring_->listeners(), 1u);
  EXPECT_EQ(ring_->armed(), 1u);
}

TEST_F(WorkerTest, WhatTheWorkerNeverLookedAtIsClosed) {
  const NewSocket replaced = Socket("127.0.0.1:2"), last = Socket("127.0.0.1:3");
  worker_->Reserve({replaced});
  worker_->Reserve({last});
  EXPECT_FALSE(IsOpen(replaced.os_fd));
  EXPECT_TRUE(IsOpen(last.os_fd));
  worker_.reset();
  EXPECT_FALSE(IsOpen(last.os_fd));
}

}  // namespace
}  // namespace starling
