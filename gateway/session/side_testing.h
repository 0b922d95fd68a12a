// A ring that only remembers what it was asked for, and a side on it whose peer the test
// plays, with TLS or without. For the tests of sides and half pipes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/session/side.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"

namespace starling {

class FakeRing final : public Ring {
 public:
  absl::Status Start() override { return absl::OkStatus(); }
  absl::StatusOr<Fd> AddListener(int /*os_fd*/, bool /*want_local*/) override { return kNoFd; }
  DataListener AddDataListener(const Endpoint& /*address*/, uint16_t /*first*/, uint16_t /*last*/,
                               uint32_t* /*cursor*/) override {
    return {};
  }
  void CancelAccepts(Fd /*listener*/) override {}
  void RemoveListener(Fd /*listener*/) override {}
  void Discard(Fd /*accepted*/) override {}
  void ArmAccept(Fd /*listener*/, Tag /*tag*/) override {}
  void OpenUpstream(Fd fd, const SocketAddress& /*address*/, std::span<const uint8_t> header,
                    const Endpoint& /*source*/, bool /*want_local*/, Tag tag) override {
    Ask(fd, tag, header);
  }
  void OpenData(Fd fd, const SocketAddress& /*address*/, const Endpoint& /*source*/,
                Tag tag) override {
    Ask(fd, tag);
  }
  void Recv(Fd fd, BufferGroup /*group*/, uint32_t max, Tag tag) override {
    Ask(fd, tag);
    asked_.back().max = max;
  }
  void Peek(Fd fd, Tag tag) override { Ask(fd, tag); }
  void Send(Fd fd, std::span<const uint8_t> data, Tag tag) override { Ask(fd, tag, data); }
  void ShutdownWrite(Fd fd, Tag tag) override { Ask(fd, tag); }
  void Acknowledge(Fd /*fd*/) override {}
  void Cancel(Fd fd, Tag tag) override { Ask(fd, tag); }
  void CancelAndClose(Fd fd, Tag tag) override { Ask(fd, tag); }
  std::span<uint8_t> Buffer(BufferId id) override {
    std::string& buffer = buffers_.at(id);
    return {reinterpret_cast<uint8_t*>(buffer.data()), buffer.size()};
  }
  void ReturnBuffer(BufferId id) override { EXPECT_EQ(buffers_.erase(id), 1u); }
  uint32_t BuffersOut() const override { return static_cast<uint32_t>(buffers_.size()); }
  uint32_t DescriptorsInUse() const override { return 0; }
  void Submit() override {}
  void Turn(MonoTime /*deadline*/, std::vector<Completion>& /*out*/) override {}
  void Wake() override {}
  std::vector<std::pair<std::string, uint64_t>> OperationCounts() const override { return {}; }

  struct Asked {
    Fd fd = kNoFd;
    Tag tag;
    std::span<const uint8_t> data;
    uint32_t max = 0;
  };
  // Takes the request for `op` on `fd`, if there is one.
  bool Take(Fd fd, Op op, Asked* asked) {
    const auto found = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& one) {
      return one.fd == fd && one.tag.op == op;
    });
    if (found == asked_.end()) return false;
    *asked = *found;
    asked_.erase(found);
    return true;
  }
  BufferId Fill(std::string_view octets) {
    buffers_.emplace(next_, octets);
    return next_++;
  }

 private:
  void Ask(Fd fd, Tag tag, std::span<const uint8_t> data = {}) {
    asked_.push_back({.fd = fd, .tag = tag, .data = data});
  }

  std::vector<Asked> asked_;
  std::map<BufferId, std::string> buffers_;
  BufferId next_ = 1;
};

// The part of a worker that sides use, with so many blocks.
struct SideWorker : SideResources {
  explicit SideWorker(size_t blocks = 16, size_t bulk_blocks = 4, size_t stashes = 16)
      : SideResources(blocks, bulk_blocks, stashes) {
    ring = &fake;
  }
  FakeRing fake;
};

inline constexpr SessionRef kTestOwner{.slot = 3, .generation = 9};

inline ByteView Octets(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string Text(ByteView octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}
inline std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + (i >> 8));
  return text;
}

inline std::unique_ptr<TlsContext> MakeTestContext() {
  CredentialStore store;
  const TestCertificate made = MakeTestCertificate();
  auto loaded = store.LoadPem({"test.crt", "test.key"}, made.cert, made.key);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  auto context = TlsContext::Create(
      {.certificates = MakeCredentialIndex({*loaded}), .tickets = MakeTicketKeys()});
  EXPECT_TRUE(context.ok()) << context.status();
  return *std::move(context);
}

// A side and its peer.
class TestSide {
 public:
  TestSide(SideWorker& worker, Fd fd) : worker_(worker) { side.fd = fd; }
  ~TestSide() {
    side.DropInput(worker_);
    if (side.has(kOpSend)) side.Finished(kOpSend);
    side.out.in_flight = 0;
    side.DropOutput(worker_);
  }
  TestSide(const TestSide&) = delete;
  TestSide& operator=(const TestSide&) = delete;

  // Begins TLS and finishes its handshake; the peer is then `client`.
  void BeginTls(TlsContext& context, const TestClientOptions& options = {}) {
    client = std::make_unique<TestClient>(options);
    side.tls = NewSideTls();
    ASSERT_TRUE(side.tls->session.Start(context));
    for (int i = 0; i < 20 && !side.tls->up; ++i) {
      client->Step();
      Arrive(std::exchange(client->output, {}));
      side.Handshake(worker_);
      client->input += SendAll();
    }
    client->Step();
    ASSERT_TRUE(side.tls->up && client->connected());
  }

  // Octets come from the peer, into one receive buffer.
  void Arrive(std::string_view octets) {
    if (octets.empty()) return;
    side.Receive(worker_, kTestOwner);
    FakeRing::Asked asked;
    ASSERT_TRUE(worker_.fake.Take(side.fd, Op::kRecv, &asked));
    ASSERT_LE(octets.size(), kLargeReceive);
    side.Received({.tag = asked.tag,
                   .result = static_cast<int32_t>(octets.size()),
                   .buffer = worker_.fake.Fill(octets)});
  }
  // The end of the peer's data, or an error.
  void ArriveEnd(int32_t result = 0) {
    side.Receive(worker_, kTestOwner);
    FakeRing::Asked asked;
    ASSERT_TRUE(worker_.fake.Take(side.fd, Op::kRecv, &asked));
    side.Received({.tag = asked.tag, .result = result});
  }
  // Asks to send; the octets stay in flight until Sent().
  bool Send() {
    side.Send(worker_, kTestOwner);
    return side.has(kOpSend);
  }
  // The send has ended with so many octets, or all of them.
  std::string Sent(size_t most = SIZE_MAX) {
    FakeRing::Asked asked;
    if (!worker_.fake.Take(side.fd, Op::kSend, &asked)) return {};
    std::string sent = Text(asked.data).substr(0, most);
    side.Sent(worker_, {.tag = asked.tag, .result = static_cast<int32_t>(sent.size())});
    return sent;
  }
  // All that waits to be sent.
  std::string SendAll() {
    std::string all;
    while (Send()) all += Sent();
    return all;
  }
  // The same, as the peer reads it.
  std::string PeerReads() {
    if (client == nullptr) return SendAll();
    client->input += SendAll();
    client->Step();
    return std::exchange(client->received, {});
  }
  // As the peer writes them.
  std::string PeerWrites(std::string_view plain) {
    if (client == nullptr) return std::string(plain);
    client->Write(plain);
    return std::exchange(client->output, {});
  }

  Side side;
  std::unique_ptr<TestClient> client;  // null: plaintext

 private:
  SideWorker& worker_;
};

}  // namespace starling
