// Tests records, output room, ends of data and attacks, before and after the handshake.
#include "gateway/tls/tls_session.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/test_server.h"

namespace starling {
namespace {

using namespace std::string_literals;

constexpr uint16_t kTls12 = 0x0303, kTls13 = 0x0304;

std::unique_ptr<TlsContext> MakeContext() {
  CredentialStore store;
  const TestCertificate made = MakeTestCertificate();
  auto loaded = store.LoadPem({"test.crt", "test.key"}, made.cert, made.key);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  auto context = TlsContext::Create(
      {.certificates = MakeCredentialIndex({*loaded}), .tickets = MakeTicketKeys()});
  EXPECT_TRUE(context.ok()) << context.status();
  return *std::move(context);
}

TestClientOptions Version(uint16_t version) {
  TestClientOptions options;
  options.min_version = options.max_version = version;
  return options;
}

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; i++) text[i] = static_cast<char>(i * 31 + (i >> 8));
  return text;
}

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class SessionTest : public testing::TestWithParam<uint16_t> {
 protected:
  std::unique_ptr<TlsContext> context_ = MakeContext();
};

INSTANTIATE_TEST_SUITE_P(Versions, SessionTest, testing::Values(kTls12, kTls13));

TEST_P(SessionTest, BigTransfersThroughOddSizes) {
  const std::string up = Pattern(300'001), down = Pattern(250'003);
  for (const size_t portion : {size_t{1}, size_t{31}, size_t{63}, size_t{1500}, size_t{17920}}) {
    SCOPED_TRACE(portion);
    TestClient client(Version(GetParam()));
    TestServer server(*context_, portion, portion);
    ASSERT_TRUE(Exchange(client, server));
    client.Write(up);
    ASSERT_EQ(server.Write(down), TlsResult::kOk);
    ASSERT_TRUE(Exchange(client, server));
    EXPECT_TRUE(server.received == up);
    EXPECT_TRUE(client.received == down);
  }
}

TEST_P(SessionTest, WriteSaysWhenThereIsNoRoomAndLosesNothing) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  const std::string plain = Pattern(1000);
  size_t taken = 0;
  std::string wire;
  // Room from nothing to enough; TLS 1.3 sends its ticket first.
  for (size_t room = 0; taken < plain.size(); room++) {
    std::vector<uint8_t> out(room);
    TlsSession::Io io;
    io.out = out;
    const size_t before = taken;
    const TlsResult result = server.session().Write(io, Bytes(plain).subspan(taken), taken);
    ASSERT_EQ(result, taken == plain.size() ? TlsResult::kOk : TlsResult::kNeedRoom);
    // The output contains everything that Write has taken.
    if (taken > before) EXPECT_GE(io.written, taken - before + 22);
    wire.append(reinterpret_cast<const char*>(out.data()), io.written);
    ASSERT_LT(room, 1000u);
  }
  client.input = wire;
  client.Step();
  EXPECT_EQ(client.received, plain);
}

TEST_P(SessionTest, TicketsCanBeSentAheadOfData) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  std::vector<uint8_t> out(1024);
  TlsSession::Io io{.in = {}, .consumed = 0, .out = out, .written = 0};
  EXPECT_EQ(server.session().SendTickets(io), TlsResult::kOk);
  EXPECT_EQ(io.written > 0, GetParam() == kTls13);  // TLS 1.2 sent it before
  const size_t written = io.written;
  EXPECT_EQ(server.session().SendTickets(io), TlsResult::kOk);
  EXPECT_EQ(io.written, written);
  client.input.assign(reinterpret_cast<const char*>(out.data()), io.written);
  EXPECT_TRUE(client.Step());
  EXPECT_NE(client.session(), nullptr);
  EXPECT_EQ(client.received, "");
}

TEST_P(SessionTest, DataBehindTheHandshakeIsLeftForRead) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  client.Step();
  server.input += std::exchange(client.output, {});
  ASSERT_EQ(server.Step(), TlsResult::kNeedInput);
  client.input += std::exchange(server.output, {});
  client.Step();
  if (!client.connected()) {  // TLS 1.2: the server's Finished comes last
    server.input += std::exchange(client.output, {});
    server.Step();
    client.input += std::exchange(server.output, {});
    client.Step();
  }
  ASSERT_TRUE(client.connected());
  const std::string finished = std::exchange(client.output, {});
  client.Write("early bird");
  const std::string all = finished + std::exchange(client.output, {});
  TlsSession::Io io;
  io.in = Bytes(all);
  ASSERT_EQ(server.session().Handshake(io), TlsResult::kOk);
  EXPECT_EQ(io.consumed, finished.size());
  std::vector<uint8_t> plain(4);
  size_t got = 0;
  // With a small buffer first, the rest of the record waits inside.
  EXPECT_EQ(server.session().Read(io, plain, got), TlsResult::kOk);
  EXPECT_EQ(std::string(plain.begin(), plain.end()), "earl");
  EXPECT_FALSE(server.session().MidRecord());
  plain.resize(100);
  got = 0;
  EXPECT_EQ(server.session().Read(io, plain, got), TlsResult::kOk);
  EXPECT_EQ(std::string(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(got)), "y bird");
  EXPECT_EQ(server.session().Read(io, plain, got), TlsResult::kNeedInput);
}

TEST_P(SessionTest, MidRecordUntilTheRestHasCome) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  client.Write("hello");
  const std::string record = std::exchange(client.output, {});
  EXPECT_FALSE(server.session().MidRecord());
  for (size_t i = 0; i + 1 < record.size(); i++) {
    server.input = record.substr(i, 1);
    EXPECT_EQ(server.Step(), TlsResult::kNeedInput);
    EXPECT_TRUE(server.session().MidRecord());
  }
  EXPECT_EQ(server.received, "");
  server.input = record.substr(record.size() - 1);
  EXPECT_EQ(server.Step(), TlsResult::kNeedInput);
  EXPECT_EQ(server.received, "hello");
  EXPECT_FALSE(server.session().MidRecord());
}

TEST_P(SessionTest, CloseNotifyBothWays) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  client.Write("last words");
  client.CloseNotify();
  server.input += std::exchange(client.output, {});
  EXPECT_EQ(server.Step(), TlsResult::kClosed);
  EXPECT_EQ(server.received, "last words");
  EXPECT_EQ(server.Step(), TlsResult::kClosed);  // and stays closed
  EXPECT_EQ(server.session().failure(), TlsFailure::kNone);
  // Half-closed: the other direction continues until it ends too.
  EXPECT_EQ(server.Write("still here"), TlsResult::kOk);
  EXPECT_EQ(server.CloseNotify(), TlsResult::kOk);
  const size_t size = server.output.size();
  EXPECT_EQ(server.CloseNotify(), TlsResult::kOk);
  EXPECT_EQ(server.output.size(), size);  // once
  client.input += std::exchange(server.output, {});
  client.Step();
  EXPECT_EQ(client.received, "still here");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(server.Write("too late"), TlsResult::kFailed);
}

TEST_P(SessionTest, DataAndCloseNotifyInOneRead) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  client.Write("bye");
  client.CloseNotify();
  TlsSession::Io io;
  io.in = Bytes(client.output);
  std::vector<uint8_t> plain(100);
  size_t got = 0;
  EXPECT_EQ(server.session().Read(io, plain, got), TlsResult::kClosed);
  EXPECT_EQ(got, 3u);
  EXPECT_EQ(io.consumed, io.in.size());
}

TEST_P(SessionTest, CloseNotifyWaitsForRoom) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  std::string wire;
  TlsResult result = TlsResult::kNeedRoom;
  for (size_t room = 0; result == TlsResult::kNeedRoom && room < 100; room++) {
    std::vector<uint8_t> out(room);
    TlsSession::Io io;
    io.out = out;
    result = server.session().CloseNotify(io);
    wire.append(reinterpret_cast<const char*>(out.data()), io.written);
  }
  ASSERT_EQ(result, TlsResult::kOk);
  client.input = wire;
  client.Step();
  EXPECT_TRUE(client.closed());
  EXPECT_FALSE(client.failed());
}

TEST_P(SessionTest, EndsInTheHandshake) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  EXPECT_EQ(server.CloseNotify(), TlsResult::kOk);  // nothing to close yet
  EXPECT_TRUE(server.output.empty());
  client.Step();
  server.input = client.output.substr(0, 1) + "\x03\x01\x00\x00"s + "\x15\x03\x01\x00\x02\x01\x00"s;
  EXPECT_EQ(server.Step(), TlsResult::kFailed);
  EXPECT_EQ(server.session().failure(), TlsFailure::kClosed);
}

TEST_P(SessionTest, TamperedRecordsEndTheSession) {
  for (const bool tag : {false, true}) {
    TestClient client(Version(GetParam()));
    TestServer server(*context_);
    ASSERT_TRUE(Exchange(client, server));
    client.Write("good");
    client.Write("evil");
    std::string wire = std::exchange(client.output, {});
    char& octet = tag ? wire.back() : wire[wire.size() / 2 + 14];
    octet = static_cast<char>(octet ^ 1);
    server.input = wire;
    EXPECT_EQ(server.Step(), TlsResult::kFailed);
    EXPECT_EQ(server.session().failure(), TlsFailure::kBadRecord);
    EXPECT_EQ(server.received, "good");  // the plaintext before the bad record is valid
    client.input = server.output;
    client.Step();
    EXPECT_EQ(client.error(), "SSLV3_ALERT_BAD_RECORD_MAC");
  }
}

TEST_P(SessionTest, OverlongRecordsAreRefusedByTheirHeader) {
  TestClient client(Version(GetParam()));
  TestServer server(*context_);
  ASSERT_TRUE(Exchange(client, server));
  server.input = "\x17\x03\x03\x48\x01"s;  // 2^14 + 2048 + 1
  EXPECT_EQ(server.Step(), TlsResult::kFailed);
  EXPECT_EQ(server.session().failure(), TlsFailure::kRecordOverflow);
}

TEST(SessionStart, WhatIsNotTlsGetsAnAlert) {
  const auto context = MakeContext();
  const std::string rows[] = {
      "EHLO x\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"s,  // SSLv2 hello
      "\x15\x03\x01\x00\x02\x02\x0a"s,
      "\x17\x03\x03\x00\x05hello"s,
      "\0"s,
      "\xff",
  };
  for (const std::string& row : rows) {
    for (const size_t portion : {size_t{1}, size_t{16384}}) {
      TestServer server(*context, portion);
      server.input = row;
      EXPECT_EQ(server.Step(), TlsResult::kFailed);
      EXPECT_EQ(server.session().failure(), TlsFailure::kNotTls);
      EXPECT_EQ(server.output, "\x15\x03\x01\x00\x02\x02\x0a"s);
    }
  }
  TestServer server(*context);
  EXPECT_EQ(server.Step(), TlsResult::kNeedInput);
}

TEST(SessionStart, GarbageBehindAGoodFirstOctet) {
  const auto context = MakeContext();
  struct {
    std::string bytes;
    TlsFailure failure;
  } const rows[] = {
      {"\x16\x99\x01\x00\x05hello"s, TlsFailure::kBadRecord},
      {"\x16\x03\x01\xff\xffhello"s, TlsFailure::kRecordOverflow},
      {"\x16\x03\x01\x00\x05hello"s, TlsFailure::kMessageTooLarge},  // 0x656c6c octets
      {"\x16\x03\x01\x00\x04\x01\x00\x00\x00"s, TlsFailure::kProtocol},
      // Endless empty records, then endless warnings.
      {[] {
         std::string s;
         for (int i = 0; i < 40; i++) s += "\x16\x03\x01\x00\x00"s;
         return s;
       }(),
       TlsFailure::kProtocol},
      {[] {
         std::string s = "\x16\x03\x01\x00\x00"s;
         for (int i = 0; i < 10; i++) s += "\x15\x03\x01\x00\x02\x01\x70"s;
         return s;
       }(),
       TlsFailure::kProtocol},
  };
  for (const auto& row : rows) {
    TestServer server(*context);
    server.input = row.bytes;
    EXPECT_EQ(server.Step(), TlsResult::kFailed) << testing::PrintToString(row.bytes);
    EXPECT_EQ(server.session().failure(), row.failure)
        << testing::PrintToString(row.bytes) << " " << Label(server.session().failure());
    EXPECT_FALSE(server.output.empty());  // an alert
  }
}

TEST(SessionStart, HalfAHelloWaits) {
  const auto context = MakeContext();
  TestClient client(TestClientOptions{});
  client.Step();
  TestServer server(*context);
  server.input = client.output.substr(0, client.output.size() - 1);
  EXPECT_EQ(server.Step(), TlsResult::kNeedInput);
  EXPECT_TRUE(server.session().MidRecord());
  server.input = client.output.substr(client.output.size() - 1);
  EXPECT_EQ(server.Step(), TlsResult::kNeedInput);
  EXPECT_FALSE(server.output.empty());
}

TEST(SessionLimits, KeyUpdateIsAnsweredButNotAFlood) {
  const auto context = MakeContext();
  TestClient client(Version(kTls13));
  TestServer server(*context);
  ASSERT_TRUE(Exchange(client, server));
  client.KeyUpdate();
  client.Write("new keys");
  ASSERT_TRUE(Exchange(client, server));
  EXPECT_EQ(server.received, "new keys");
  ASSERT_EQ(server.Write("both"), TlsResult::kOk);
  ASSERT_TRUE(Exchange(client, server));
  EXPECT_EQ(client.received, "both");
  for (int i = 0; i < 33; i++) client.KeyUpdate();
  server.input = std::exchange(client.output, {});
  EXPECT_EQ(server.Step(), TlsResult::kFailed);
  EXPECT_EQ(server.session().failure(), TlsFailure::kProtocol);
}

TEST(SessionObject, MovesAndResets) {
  const auto context = MakeContext();
  static_assert(sizeof(TlsSession) <= 32);
  TlsSession empty;
  EXPECT_FALSE(empty);
  TlsSession first;
  ASSERT_TRUE(first.Start(*context));
  TlsSession::Io io;
  const std::string junk = "junk";
  io.in = Bytes(junk);
  EXPECT_EQ(first.Handshake(io), TlsResult::kFailed);
  TlsSession second = std::move(first);
  EXPECT_FALSE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(second.failure(), TlsFailure::kNotTls);
  first = std::move(second);
  EXPECT_TRUE(first);
  ASSERT_TRUE(first.Start(*context));  // begins anew
  EXPECT_EQ(first.failure(), TlsFailure::kNone);
  first.Reset();
  EXPECT_FALSE(first);
}

}  // namespace
}  // namespace starling
