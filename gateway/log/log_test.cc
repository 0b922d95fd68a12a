#include "gateway/log/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/log/messages.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace starling {
namespace {

Endpoint V4(uint8_t last, uint16_t port) {
  Endpoint endpoint;
  endpoint.family = Endpoint::Family::kV4;
  endpoint.ip = {192, 0, 2, last};
  endpoint.port = port;
  return endpoint;
}

Log::Options Names() {
  Log::Options options;
  options.listeners = {"mx", "imaps"};
  options.protocols = {"smtp", "imap"};
  options.servers = {{"postfix", "unix:/mx"}, {"dovecot", "127.0.0.1:10143"}};
  return options;
}

SessionRecord Full() {
  SessionRecord record;
  record.event = LogEvent::kEnded;
  record.tls = true;
  record.tls_version = 1;
  record.tls_cipher = 0;
  record.tls_group = 1;
  record.resumed = true;
  record.reason = EndReason::kClientClosed;
  record.listener = 1;
  record.server = 1;
  record.upstream_port = 40001;
  record.session = 0xabc;
  record.at = 1'700'000'000'123'000;
  record.duration_us = 2'500'000;
  record.handshake_us = 750;
  record.downstream_in = 1;
  record.downstream_out = 2;
  record.upstream_in = 3;
  record.upstream_out = 4;
  record.peer = V4(7, 50000);
  record.local = V4(1, 993);
  record.sni.Set("mail.example.org");
  return record;
}

TEST(FormatRecord, AllFields) {
  EXPECT_EQ(FormatRecord(Full(), Names()),
            "time=2023-11-14T22:13:20.123Z level=info msg=\"session ended\" "
            "session=0000000000000abc listener=imaps protocol=imap peer=192.0.2.7:50000 "
            "local=192.0.2.1:993 sni=mail.example.org tls_version=TLSv1.3 "
            "cipher=TLS_AES_128_GCM_SHA256 group=X25519 resumed=true handshake_ms=0.750 "
            "backend=dovecot server=127.0.0.1:10143 upstream_port=40001 duration_ms=2500.000 "
            "downstream_in=1 downstream_out=2 upstream_in=3 upstream_out=4 reason=client_closed");
}

TEST(FormatRecord, ReplyThatEndedIt) {
  SessionRecord record;
  record.reason = EndReason::kDataDropped;
  record.reply = 550;
  const std::string line = FormatRecord(record, Names());
  EXPECT_TRUE(line.ends_with(" reason=data_dropped reply=550")) << line;
}

TEST(FormatRecord, TlsWithServers) {
  SessionRecord record;
  record.upstream_tls = {.up = true, .resumed = true, .version = 1, .cipher = 0};
  std::string line = FormatRecord(record, Names());
  EXPECT_NE(line.find(" upstream_tls_version=TLSv1.3 upstream_cipher=TLS_AES_128_GCM_SHA256 "
                      "upstream_resumed=true duration_ms"),
            std::string::npos)
      << line;
  record.upstream_tls = {.failure = TlsFailure::kServerCertificateInvalid};
  line = FormatRecord(record, Names());
  EXPECT_NE(line.find(" upstream_tls_failure=server_certificate_invalid duration_ms"),
            std::string::npos)
      << line;
}

TEST(FormatRecord, Json) {
  Log::Options options = Names();
  options.format = LogFormat::kJson;
  const auto parsed = nlohmann::json::parse(FormatRecord(Full(), options), nullptr, false);
  ASSERT_FALSE(parsed.is_discarded());
  EXPECT_EQ(parsed["msg"], "session ended");
  EXPECT_EQ(parsed["upstream_in"], 3);
  EXPECT_EQ(parsed["resumed"], true);
  EXPECT_EQ(parsed["handshake_ms"], 0.75);
  EXPECT_EQ(parsed["reason"], "client_closed");
}

TEST(FormatRecord, OnlyWhatApplies) {
  SessionRecord record;
  record.event = LogEvent::kEnded;
  record.tls_failure = TlsFailure::kNotTls;
  record.reason = EndReason::kPlainOnTlsPort;
  EXPECT_EQ(FormatRecord(record, Names()),
            "time=1970-01-01T00:00:00.000Z level=info msg=\"session ended\" "
            "session=0000000000000000 listener=mx protocol=smtp tls_failure=not_tls "
            "duration_ms=0.000 downstream_in=0 downstream_out=0 upstream_in=0 upstream_out=0 "
            "reason=plain_on_tls_port");
  record = SessionRecord();
  record.event = LogEvent::kEstablished;
  record.plaintext_leg = true;
  record.server = 0;
  EXPECT_EQ(FormatRecord(record, Names()),
            "time=1970-01-01T00:00:00.000Z level=info msg=\"session established\" "
            "session=0000000000000000 listener=mx protocol=smtp plaintext=true backend=postfix "
            "server=unix:/mx duration_ms=0.000");
}

TEST(FormatRecord, IndicesWithoutAName) {
  SessionRecord record = Full();
  record.listener = 9;
  record.server = 9;
  record.tls_cipher = 200;
  const std::string line = FormatRecord(record, Names());
  EXPECT_NE(line.find(" listener=#9 "), std::string::npos) << line;
  EXPECT_NE(line.find(" server=#9 "), std::string::npos) << line;
  EXPECT_NE(line.find(" cipher=other "), std::string::npos) << line;
}

TEST(FormatRecord, SniIsEscaped) {
  SessionRecord record = Full();
  record.sni.Set("a\r\nmsg=forged \x1b[2J\xff");
  const std::string line = FormatRecord(record, Names());
  EXPECT_NE(line.find(" sni=\"a\\r\\nmsg=forged \\x1b[2J\\xff\" "), std::string::npos) << line;
}

class LogTest : public testing::Test {
 protected:
  LogTest() { EXPECT_EQ(pipe2(fds_, O_CLOEXEC), 0); }
  ~LogTest() override {
    log_.reset();
    close(fds_[0]);
    if (fds_[1] >= 0) close(fds_[1]);
  }
  void Open(size_t workers, size_t capacity) {
    Log::Options options = Names();
    options.workers = workers;
    options.ring_capacity = capacity;
    options.fd = fds_[1];
    log_ = std::make_unique<Log>(options);
  }
  // Everything until the last writer has closed.
  std::vector<std::string> Lines() {
    close(fds_[1]);
    fds_[1] = -1;
    std::string text;
    char chunk[65536];
    for (ssize_t n; (n = read(fds_[0], chunk, sizeof chunk)) > 0;) {
      text.append(chunk, static_cast<size_t>(n));
    }
    std::vector<std::string> lines;
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      lines.push_back(text.substr(at, end - at));
      at = end == std::string::npos ? text.size() : end + 1;
    }
    return lines;
  }

  int fds_[2] = {-1, -1};
  std::unique_ptr<Log> log_;
};

TEST_F(LogTest, EndWritesWhatIsLeft) {
  Open(2, 64);
  log_->Say(LogMessage::kConfigWarning, {{"warning", "/a b"}});
  for (uint64_t i = 0; i < 10; ++i) {
    SessionRecord record = Full();
    record.session = i;
    EXPECT_TRUE(log_->ring(i % 2)->Push(record));
  }
  log_.reset();
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 11u);
  size_t said = 0;
  for (const std::string& line : lines) {
    said += line.find(" level=warning msg=\"configuration warning\" warning=\"/a b\"") !=
            std::string::npos;
  }
  EXPECT_EQ(said, 1u);
}

// Nobody waits for the end of anything: the thread wakes by itself.
TEST_F(LogTest, LinesAppearWithoutBeingAskedFor) {
  Open(1, 64);
  char chunk[4096];
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(log_->ring(0)->Push(Full()));
    ASSERT_GT(read(fds_[0], chunk, sizeof chunk), 0);
    log_->Say(LogMessage::kReloadIgnored);
    ASSERT_GT(read(fds_[0], chunk, sizeof chunk), 0);
  }
}

// The pipe is full and stays so: a worker is told at once that its record is
// lost, main can still speak, and the end comes nevertheless.
TEST_F(LogTest, FullPipeBlocksNobody) {
  const std::string filling(4096, 'x');
  fcntl(fds_[1], F_SETFL, O_NONBLOCK);
  size_t filled = 0;
  while (write(fds_[1], filling.data(), filling.size()) > 0) filled += filling.size();
  fcntl(fds_[1], F_SETFL, 0);
  Open(1, 16);
  for (size_t dropped = 0; dropped < 1000;) {
    if (!log_->ring(0)->Push(Full())) ++dropped;
    std::this_thread::yield();
  }
  for (int i = 0; i < 5000; ++i) log_->Say(LogMessage::kReloadIgnored);
  EXPECT_GT(log_->lost(), 0u);
  log_.reset();
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].size(), filled);
}

TEST_F(LogTest, SlowReaderGetsWholeLinesInOrder) {
  Open(1, 64);
  constexpr uint64_t kRecords = 5000;
  std::thread worker([&] {
    for (uint64_t i = 1; i <= kRecords; ++i) {
      SessionRecord record = Full();
      record.session = i;
      while (!log_->ring(0)->Push(record)) std::this_thread::yield();
    }
  });
  std::string text;
  char chunk[100];
  uint64_t next = 1;
  while (next <= kRecords) {
    const ssize_t n = read(fds_[0], chunk, sizeof chunk);
    ASSERT_GT(n, 0);
    text.append(chunk, static_cast<size_t>(n));
    for (size_t end; (end = text.find('\n')) != std::string::npos; ++next) {
      SessionRecord record = Full();
      record.session = next;
      EXPECT_EQ(text.substr(0, end), FormatRecord(record, Names()));
      text.erase(0, end + 1);
    }
  }
  worker.join();
  EXPECT_EQ(text, "");
}

TEST_F(LogTest, ReaderThatLeavesIsCounted) {
  Open(1, 64);
  close(fds_[0]);
  fds_[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  while (log_->lost() == 0) {
    log_->Say(LogMessage::kReloadIgnored);
    std::this_thread::yield();
  }
}

}  // namespace
}  // namespace starling
