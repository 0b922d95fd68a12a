#include "protocols/http/http_head.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocols/http/limits.h"

namespace starling {
namespace {

using Status = HttpHeadScanner::Status;

const std::string kStart = "GET / HTTP/1.1\r\nHost: a.example\r\n";

struct ScanCase {
  std::string name;
  std::string in;
  Status status;
  size_t seen;  // octets that it took to know
  std::string head = {};
};

void RunScans(const std::vector<ScanCase>& cases) {
  for (const ScanCase& c : cases) {
    for (const bool whole : {true, false}) {
      SCOPED_TRACE(c.name + (whole ? ", whole" : ", octet by octet"));
      HttpHeadScanner scanner;
      Status status = Status::kNeedMore;
      size_t given = whole ? c.in.size() : 0;
      if (whole) status = scanner.Scan(AsBytes(c.in));
      while (!whole && status == Status::kNeedMore && given < c.in.size()) {
        status = scanner.Scan(AsBytes(std::string_view(c.in).substr(0, ++given)));
      }
      EXPECT_EQ(status, c.status);
      EXPECT_EQ(scanner.size(), c.seen);
      if (c.status == Status::kHead) {
        EXPECT_EQ(scanner.head(AsBytes(c.in)), c.head);
      }
    }
  }
}

ScanCase Bad(std::string name, const std::string& good, const std::string& rest) {
  return {std::move(name), good + rest, Status::kBad, good.size() + 1};
}

TEST(HttpHeadScanner, FindsTheEnd) {
  const std::string head = kStart + "\r\n";
  RunScans({
      {"a head", head, Status::kHead, head.size(), head},
      {"octets behind it", head + "GET", Status::kHead, head.size(), head},
      {"no field", "GET / HTTP/1.0\r\n\r\n", Status::kHead, 18, "GET / HTTP/1.0\r\n\r\n"},
      {"empty lines before it", "\r\n\r\n" + head, Status::kHead, head.size() + 4, head},
      {"an octet less", kStart + "\r", Status::kNeedMore, kStart.size() + 1},
      {"a line less", kStart, Status::kNeedMore, kStart.size()},
      {"empty lines alone", "\r\n\r\n\r\n", Status::kNeedMore, 6},
      {"a tab and 8-bit octets in a value", kStart + "A: \t\xc3\xa4\r\n\r\n", Status::kHead,
       kStart.size() + 10, kStart + "A: \t\xc3\xa4\r\n\r\n"},
  });
}

TEST(HttpHeadScanner, BadOctets) {
  RunScans({
      Bad("a bare LF", "GET / HTTP/1.1", "\nHost: x\r\n\r\n"),
      Bad("a bare LF in a field", kStart + "A: b", "\nTransfer-Encoding: chunked\r\n\r\n"),
      Bad("a bare LF as the end", kStart, "\n"),
      Bad("a bare CR", kStart + "A: b\r", "Transfer-Encoding: chunked\r\n\r\n"),
      Bad("two CR", kStart + "A: b\r", "\r\n"),
      Bad("CR CR LF as the end", kStart + "\r", "\r\n"),
      Bad("NUL in a value", kStart + "A: ", std::string("\0b\r\n\r\n", 6)),
      Bad("NUL in a method", "OPT", std::string("\0IONS", 5)),
      Bad("a control in a value", kStart + "A: ", "\x1b[0m"),
      Bad("DEL in a value", kStart + "A: ", "\x7f"),
      Bad("a line that continues a field", kStart, " chunked\r\n"),
      Bad("the same by a tab", kStart, "\tchunked\r\n"),
      Bad("a line that continues the first", "GET / HTTP/1.1\r\n", " Host: x\r\n"),
      Bad("a space before the method", "", " GET / HTTP/1.1"),
      Bad("a tab in the first line", "GET", "\t/ HTTP/1.1"),
      Bad("8-bit octets in the first line", "GET /", "\xc3\xa4 HTTP/1.1"),
      Bad("an LF alone", "", "\n"),
  });
}

TEST(HttpHeadScanner, Strangers) {
  for (const std::string line :
       {"EHLO client.example.net\r\n", "a001 STARTTLS\r\n", "SSH-2.0-x\r\n", "USER demo\r\n",
        "OPTIONS sip:a@b SIP/2.0\r\n", "PRI * HTTP/2.0\r\n", "OPTIONS * RTSP/1.0\r\n", "GET /\r\n",
        "XXXX\r\n"}) {
    RunScans({{line, line + "more", Status::kStranger, line.size()}});
  }
}

TEST(HttpHeadScanner, LongHeads) {
  const auto head = [](size_t size) {
    std::string text = kStart + "A: ";
    return text + std::string(size - text.size() - 4, 'x') + "\r\n\r\n";
  };
  const std::string line(kHttpMaxHead + 100, 'x');
  RunScans({
      {"at the limit", head(kHttpMaxHead), Status::kHead, kHttpMaxHead, head(kHttpMaxHead)},
      {"over the limit", head(kHttpMaxHead + 1), Status::kTooLong, kHttpMaxHead},
      {"a line without end", line, Status::kTooLong, kHttpMaxHead},
  });
}

HttpRequest Read(const std::string& head) {
  HttpHeadScanner scanner;
  // In a block of exactly this size, so that a sanitizer sees one octet too many.
  std::vector<uint8_t> in(head.begin(), head.end());
  EXPECT_EQ(scanner.Scan(in), Status::kHead) << head;
  return ReadHttpRequest(scanner.head(in));
}

// A copy: the request's views end with the head.
std::string HostOf(const std::string& head) {
  HttpHeadScanner scanner;
  EXPECT_EQ(scanner.Scan(AsBytes(head)), Status::kHead) << head;
  return std::string(ReadHttpRequest(scanner.head(AsBytes(head))).host);
}

// As CUPS 2.4 says it.
const std::string kUpgrade =
    "OPTIONS * HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: TLS/1.2,TLS/1.1,TLS/1.0\r\n"
    "Host: a.example:631\r\n";

TEST(HttpRequest, WhoAsksForTls) {
  const HttpRequest request = Read(kUpgrade + "Content-Length: 0\r\n\r\n");
  EXPECT_TRUE(request.good);
  EXPECT_TRUE(request.options_star);
  EXPECT_TRUE(request.wants_tls);
  EXPECT_FALSE(request.has_body);
  EXPECT_FALSE(request.has_credentials);
  EXPECT_FALSE(request.mangled);
}

// RFC 9112 section 5: of spaces and tabs, around any value.
TEST(HttpRequest, WhiteSpaceAroundValues) {
  for (const std::string space : {"", " ", "\t", " \t  \t "}) {
    SCOPED_TRACE("[" + space + "]");
    const auto field = [&](const std::string& name, const std::string& value) {
      return name + ":" + space + value + space + "\r\n";
    };
    const std::string asks = "OPTIONS * HTTP/1.1\r\n" + field("Host", "a.example:631") +
                             field("Connection", "Upgrade" + space + "," + space + "close") +
                             field("Upgrade", "h2c" + space + "," + space + "TLS/1.0");
    const std::string head = asks + field("Content-Length", "0") + "\r\n";
    const HttpRequest request = Read(head);
    EXPECT_TRUE(request.good);
    EXPECT_TRUE(request.wants_tls);
    EXPECT_FALSE(request.has_body);
    EXPECT_EQ(HostOf(head), "a.example");
    EXPECT_TRUE(Read(asks + field("Transfer-Encoding", "chunked") + "\r\n").good);
  }
  // Between a name and its colon, or behind the first line, servers differ about it.
  EXPECT_FALSE(Read("OPTIONS * HTTP/1.1\r\nHost : a\r\n\r\n").good);
  EXPECT_FALSE(Read("OPTIONS * HTTP/1.1 \r\nHost: a\r\n\r\n").good);
}

TEST(HttpRequest, TwoFieldsMustAgree) {
  struct Row {
    std::string fields;
    bool wants_tls;
  };
  for (const Row& row : {
           Row{"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", true},
           Row{"CONNECTION:UPGRADE\r\nUPGRADE:tls/1.0\r\n", true},
           Row{"Connection: keep-alive, Upgrade\r\nUpgrade: h2c, TLS/1.3\r\n", true},
           Row{"Connection: close\r\nConnection: ,\t upgrade ,\r\nUpgrade: TLS/1.0\t \r\n", true},
           Row{"Upgrade: h2c\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n", true},
           Row{"Upgrade: TLS/1.0\r\n", false},
           Row{"Connection: Upgrade\r\n", false},
           Row{"Connection: Upgrades\r\nUpgrade: TLS/1.0\r\n", false},
           Row{"Connection: \"Upgrade\"\r\nUpgrade: TLS/1.0\r\n", false},
           Row{"Connection: Upgrade\r\nUpgrade: TLS\r\n", false},
           Row{"Connection: Upgrade\r\nUpgrade: TLS/\r\n", false},
           Row{"Connection: Upgrade\r\nUpgrade: NOTLS/1.0, h2c, websocket\r\n", false},
           Row{"Connection: Upgrade\r\nUpgrade:\r\n", false},
       }) {
    const HttpRequest request =
        Read("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n" + row.fields + "\r\n");
    EXPECT_TRUE(request.good) << row.fields;
    EXPECT_EQ(request.wants_tls, row.wants_tls) << row.fields;
  }
  EXPECT_FALSE(
      Read("OPTIONS * HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n").wants_tls);
}

TEST(HttpRequest, WhatElseItSays) {
  EXPECT_FALSE(Read(kStart + "\r\n").options_star);
  EXPECT_FALSE(Read("OPTIONS /* HTTP/1.1\r\nHost: x\r\n\r\n").options_star);
  EXPECT_FALSE(Read("OPTIONS http://x/ HTTP/1.1\r\nHost: x\r\n\r\n").options_star);
  EXPECT_TRUE(Read(kUpgrade + "Content-Length: 5\r\n\r\n").has_body);
  EXPECT_TRUE(Read(kUpgrade + "Content-Length: 00\r\n\r\n").has_body);
  EXPECT_TRUE(Read(kUpgrade + "Transfer-Encoding: Chunked\r\n\r\n").has_body);
  EXPECT_TRUE(Read(kStart + "authorization: Basic eDp5\r\n\r\n").has_credentials);
  EXPECT_TRUE(Read(kStart + "Proxy-Authorization: Basic eDp5\r\n\r\n").has_credentials);
  EXPECT_TRUE(Read(kStart + "XXXXXXX: TLS/1.0\r\n\r\n").mangled);
  EXPECT_TRUE(Read(kStart + "Upgrxde: TLS/1.0\r\n\r\n").mangled);
  EXPECT_FALSE(Read(kStart + "Referer: x\r\nTrailer: x\r\nExpires: x\r\n\r\n").mangled);
  EXPECT_TRUE(Read("OPTIXNS * HTTP/1.1\r\nHost: x\r\n\r\n").mangled);
}

TEST(HttpRequest, Good) {
  for (const std::string& head : {
           kStart + "\r\n",
           std::string("GET / HTTP/1.0\r\n\r\n"),
           std::string("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: [2001:db8::1]:631 \r\n\r\n"),
           std::string("POST /printers/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n"),
           std::string("POST / HTTP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n"),
           std::string("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"),
           std::string("PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                       "Upgrade: websocket\r\n\r\n"),
       }) {
    EXPECT_TRUE(Read(head).good) << head;
  }
}

TEST(HttpRequest, WhatTwoServersMightReadDifferently) {
  for (const std::string fields : {
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
           "Content-Length: 5\r\nContent-Length: 5\r\n",
           "Content-Length: 5\r\nContent-Length: 6\r\n",
           "Content-Length: 5, 5\r\n",
           "Content-Length: +5\r\n",
           "Content-Length: -1\r\n",
           "Content-Length: 0x5\r\n",
           "Content-Length: 5 5\r\n",
           "Content-Length:\r\n",
           "Content-Length: 18446744073709551616\r\n",
           "Transfer-Encoding: identity\r\n",
           "Transfer-Encoding: gzip, chunked\r\n",
           "Transfer-Encoding: chunked, identity\r\n",
           "Transfer-Encoding: xchunked\r\n",
           "Transfer-Encoding: \"chunked\"\r\n",
           "Transfer-Encoding:\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding : chunked\r\n",
           "Transfer-Encoding\t: chunked\r\n",
           "Content-Length : 5\r\n",
           "Transfer Encoding: chunked\r\n",
           "\"Transfer-Encoding\": chunked\r\n",
           "Transfer-Encoding\xc2\xa0: chunked\r\n",
           ": x\r\n",
           "no colon\r\n",
           "Host: b.example\r\n",
           "host: a.example\r\n",
           "Host : b.example\r\n",
       }) {
    EXPECT_FALSE(Read(kStart + fields + "\r\n").good) << fields;
  }
}

TEST(HttpRequest, BadFirstLinesAndHosts) {
  for (const std::string head : {
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n",
           "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
           "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
           "GET / HTTP/0.9\r\nHost: x\r\n\r\n",
           "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
           "GET / HTTP/11\r\nHost: x\r\n\r\n",
           "GET / HTTP/1.10\r\nHost: x\r\n\r\n",
           "GET  HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET / / HTTP/1.1\r\nHost: x\r\n\r\n",
           "get / HTTP/1.1\r\nHost: x\r\n\r\n",
           "FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
           "OPTIONS * RTSP/1.0 HTTP/1.1\r\nHost: x\r\n\r\n",
           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
       }) {
    EXPECT_FALSE(Read(head).good) << head;
  }
}

}  // namespace
}  // namespace starling
