// Words, reply lines and keywords, and the probe that reads them.
#include "protocols/smtp/smtp_wire.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/contract/protocol_row.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp.h"

namespace starling {
namespace {

TEST(SmtpWire, Commands) {
  struct {
    const char* line;
    SmtpVerb verb;
    const char* argument;
  } const cases[] = {
      {"EHLO client.example", SmtpVerb::kEhlo, "client.example"},
      {"ehlo  x ", SmtpVerb::kEhlo, "x"},
      {"STARTTLS", SmtpVerb::kStartTls, ""},
      {"StartTls\t", SmtpVerb::kStartTls, ""},
      {"STARTTLSX", SmtpVerb::kUnknown, ""},
      {" STARTTLS", SmtpVerb::kStartTls, ""},
      {"\t MAIL \t FROM:<a@b>\tSIZE=1 \t", SmtpVerb::kMail, "FROM:<a@b>\tSIZE=1"},
      {"MAIL FROM:<a@b> SIZE=1", SmtpVerb::kMail, "FROM:<a@b> SIZE=1"},
      {"XFORWARD\tADDR=x", SmtpVerb::kIdentityClaim, "ADDR=x"},
      {"", SmtpVerb::kUnknown, ""},
  };
  for (const auto& c : cases) {
    SmtpCommand command = ParseSmtpCommand(c.line);
    EXPECT_EQ(command.verb, c.verb) << c.line;
    EXPECT_EQ(command.argument, c.argument) << c.line;
  }
}

TEST(SmtpWire, ReplyLines) {
  struct {
    const char* line;
    int code;
    bool last;
    const char* text;
  } const cases[] = {
      {"250 2.0.0 Ok", 250, true, "2.0.0 Ok"},
      {"250-SIZE 1", 250, false, "SIZE 1"},
      {"250", 250, true, ""},
      {"250 ", 250, true, ""},
      {"250-", 250, false, ""},
      {"250\tx", 250, true, "x"},
      {"250\t", 250, true, ""},
      {"250-\tx", 250, false, "\tx"},
      {"\t250 x", 0, false, ""},
      {"599 x", 599, true, "x"},
      {"25", 0, false, ""},
      {"", 0, false, ""},
      {"250x", 0, false, ""},
      {"150 x", 0, false, ""},
      {"650 x", 0, false, ""},
      {"2 50", 0, false, ""},
      {"-50 x", 0, false, ""},
  };
  for (const auto& c : cases) {
    SmtpReplyLine reply = ParseSmtpReplyLine(c.line);
    EXPECT_EQ(reply.code, c.code) << c.line;
    if (c.code == 0) continue;
    EXPECT_EQ(reply.last, c.last) << c.line;
    EXPECT_EQ(reply.text, c.text) << c.line;
  }
}

TEST(SmtpWire, Keywords) {
  struct {
    const char* text;
    uint64_t capabilities;
  } const cases[] = {
      {"PIPELINING", kSmtpPipelining},
      {"8bitmime", kSmtp8BitMime},
      {"SIZE", kSmtpSize},
      {"SIZE 0", kSmtpSize},
      {"SIZE 35651584", kSmtpSize | uint64_t{35651584} << kSmtpSizeShift},
      {"SIZE x", kSmtpSize},
      {"SIZE 12x", kSmtpSize},
      {"SIZE 1099511627775", kSmtpSize | kSmtpMaxSizeValue << kSmtpSizeShift},
      {"SIZE 1099511627776", kSmtpSize | kSmtpMaxSizeValue << kSmtpSizeShift},
      {"SIZE 99999999999999999999999", kSmtpSize},
      {"AUTH PLAIN SCRAM-SHA-256 cram-md5", kSmtpAuthPlain | kSmtpAuthCramMd5},
      {"AUTH", 0},
      {"AUTH\tPLAIN  \tLOGIN", kSmtpAuthPlain | kSmtpAuthLogin},
      {" AUTH PLAIN", kSmtpAuthPlain},
      {"AUTH=PLAIN", 0},
      {"\tSTARTTLS", 0},
      {"\tSIZE\t7 ", kSmtpSize | uint64_t{7} << kSmtpSizeShift},
      {"CHUNKING", 0},
      {"BINARYMIME", 0},
      {"BURL imap", 0},
      {"XCLIENT NAME ADDR", 0},
      {"XFORWARD NAME ADDR", 0},
      {"REQUIRETLS", 0},
      {"STARTTLS", 0},
      {"PIPELININGX", 0},
      {"", 0},
  };
  for (const auto& c : cases) {
    uint64_t capabilities = 0;
    AddSmtpKeyword(c.text, capabilities);
    EXPECT_EQ(capabilities, c.capabilities) << c.text;
  }
}

TEST(SmtpWire, ALaterSizeReplacesTheFormer) {
  uint64_t capabilities = 0;
  AddSmtpKeyword("SIZE 7", capabilities);
  AddSmtpKeyword("SIZE 8", capabilities);
  EXPECT_EQ(capabilities >> kSmtpSizeShift, 8u);
}

TEST(SmtpWire, TheLongestEhloReplyFits) {
  DialogueOptions options;
  options.hostname = std::string(255, 'h');
  options.plaintext_auth = true;
  std::vector<uint8_t> memory(kMinOutputRoom);
  Writer out(memory);
  WriteEhloReply(options, ~uint64_t{0}, out);
  std::string reply(AsText(out.written()));
  EXPECT_LE(reply.size(), 1024u);
  EXPECT_TRUE(reply.ends_with("\r\n250 HELP\r\n"));
  EXPECT_NE(reply.find("250-AUTH PLAIN LOGIN CRAM-MD5\r\n"), std::string::npos);
  EXPECT_NE(reply.find("250-SIZE 1099511627775\r\n"), std::string::npos);
}

// Every reply ends in CRLF, and has the class of its enhanced code.
TEST(SmtpWire, OwnRepliesAreWellFormed) {
  for (size_t i = 0; i < kSmtpReplyCount; ++i) {
    std::string_view text = Text(static_cast<SmtpReply>(i));
    ASSERT_TRUE(text.ends_with("\r\n"));
    SmtpReplyLine reply = ParseSmtpReplyLine(text.substr(0, text.size() - 2));
    EXPECT_TRUE(reply.last) << text;
    EXPECT_EQ(reply.code / 100, reply.text[0] - '0') << text;
  }
}

struct ProbeCase {
  const char* name;
  std::vector<std::string> backend;  // the backend sends each after the answer to the one before
  ProbeResult::Status status;
  uint64_t capabilities = 0;
  std::string sent = {};
};

TEST(SmtpProbe, Asks) {
  const std::string asked = "EHLO mx.example\r\n";
  const ProbeCase cases[] = {
      {"postfix",
       {"220 backend ESMTP\r\n",
        "250-backend\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-XCLIENT NAME\r\n250 "
        "CHUNKING\r\n"},
       ProbeResult::Status::kDone,
       kSmtpKnown | kSmtpPipelining | kSmtpSize | uint64_t{10240000} << kSmtpSizeShift,
       asked + "QUIT\r\n"},
      {"the first line is a name",
       {"220-wait\r\n220 PIPELINING\r\n", "250-PIPELINING\r\n250 DSN\r\n"},
       ProbeResult::Status::kDone,
       kSmtpKnown | kSmtpDsn,
       asked + "QUIT\r\n"},
      {"no keyword",
       {"220 b\r\n", "250 PIPELINING\r\n"},
       ProbeResult::Status::kDone,
       kSmtpKnown,
       asked + "QUIT\r\n"},
      {"sloppy",
       {"220\tb\n", "250-b\n250-DSN\t\n250\tEXPN\n"},
       ProbeResult::Status::kDone,
       kSmtpKnown | kSmtpDsn | kSmtpExpn,
       asked + "QUIT\r\n"},
      {"not finished", {"220 b\r\n", "250-b\r\n"}, ProbeResult::Status::kNeedMore, 0, asked},
      {"long lines",
       {"220 " + std::string(3000, 'x') + "\r\n",
        "250-b\r\n250-DSN " + std::string(3000, 'x') + "\r\n250 EXPN\r\n"},
       ProbeResult::Status::kDone,
       kSmtpKnown | kSmtpDsn | kSmtpExpn,
       asked + "QUIT\r\n"},
      {"refuses", {"554 no\r\n"}, ProbeResult::Status::kBad},
      {"refuses after a teaser", {"220-b\r\n554 no\r\n"}, ProbeResult::Status::kBad},
      {"refuses ehlo", {"220 b\r\n", "502 no\r\n"}, ProbeResult::Status::kBad, 0, asked},
      {"something else", {"SSH-2.0-OpenSSH\r\n"}, ProbeResult::Status::kBad},
  };
  for (const ProbeCase& c : cases) {
    for (size_t piece : {size_t{1}, size_t{4096}}) {
      SCOPED_TRACE(c.name);
      alignas(std::max_align_t) unsigned char storage[kNegotiatorSize];
      DialogueOptions options;
      options.hostname = "mx.example";
      Probe* probe = CreateSmtpProbe(storage, options);
      std::string held, sent;
      ProbeResult result;
      for (std::string text : c.backend) {
        while (!text.empty() && result.status == ProbeResult::Status::kNeedMore) {
          held += text.substr(0, piece);
          text.erase(0, piece);
          std::vector<uint8_t> backend(kMinOutputRoom);
          Output out{Writer(), Writer(backend)};
          result = probe->OnBackend(AsBytes(held), out);
          held.erase(0, result.consumed);
          sent += AsText(out.backend.written());
        }
      }
      EXPECT_EQ(result.status, c.status);
      EXPECT_EQ(result.capabilities, c.capabilities);
      EXPECT_EQ(sent, c.sent);
      probe->~Probe();
    }
  }
}

TEST(SmtpProbe, AnEndlessReplyIsReadNoFurther) {
  alignas(std::max_align_t) unsigned char storage[kNegotiatorSize];
  DialogueOptions options;
  Probe* probe = CreateLmtpProbe(storage, options);
  std::vector<uint8_t> backend(kMinOutputRoom);
  Output out{Writer(), Writer(backend)};
  ProbeResult result = probe->OnBackend(AsBytes("220 b\r\n"), out);
  EXPECT_EQ(AsText(out.backend.written()), "LHLO localhost\r\n");
  for (int i = 0; i < 10'000 && result.status == ProbeResult::Status::kNeedMore; ++i) {
    result = probe->OnBackend(AsBytes("250-DSN\r\n"), out);
  }
  // This is the gateway's own limit, and the server is up.
  EXPECT_EQ(result.status, ProbeResult::Status::kDone);
  EXPECT_EQ(result.capabilities, kSmtpKnown | kSmtpDsn);
  probe->~Probe();
}

}  // namespace
}  // namespace starling
