// What a client is told when its session ends by an event, before TLS and inside: one table of
// the protocols whose words are lines.
//
// Not for: which deadline it was (deadline_words_test.cc); protocols whose words depend on what
// came before them, or are no text (their own tests).
#include <gtest/gtest.h>

#include <string>

#include "protocols/frames/testing/dialogue_testing.h"
#include "protocols/registry.h"

namespace starling {
namespace {

struct Row {
  std::string protocol;
  std::string upgrade;
  EndWords words;
  bool leg = true;               // there is one inside TLS, and the dialogue goes on
  std::string late_inside = {};  // instead of `words.late`
};

Row Mail(const std::string& protocol) {
  return {protocol,
          "STARTTLS\r\n",
          {"421 4.3.2 mail.example Service not available, try again later\r\n",
           "421 4.4.2 mail.example No command received in time\r\n",
           "421 4.3.2 mail.example Service shutting down, try again later\r\n"}};
}

class EndWordsOf : public testing::TestWithParam<Row> {};

TEST_P(EndWordsOf, TheProtocolAtEachEvent) {
  const Row& row = GetParam();
  DialogueOptions options;
  options.hostname = "mail.example";
  RunEndWords(row.words, row.upgrade, FindProtocol(row.protocol)->create, options, row.leg,
              row.late_inside);
}

INSTANTIATE_TEST_SUITE_P(
    Protocols, EndWordsOf,
    testing::Values(
        Mail("smtp"), Mail("lmtp"),
        Row{"nntp",
            "STARTTLS\r\n",
            {"400 Server not available, try again later\r\n", "400 No command received in time\r\n",
             "400 Server shutting down\r\n"}},
        Row{"pop3",
            "STLS\r\n",
            {"-ERR [SYS/TEMP] Server not available, try again later\r\n",
             "-ERR No command received in time\r\n", "-ERR [SYS/TEMP] Server shutting down\r\n"}},
        Row{"imap",
            "a STARTTLS\r\n",
            {"* BYE [UNAVAILABLE] Server not available, try again later\r\n",
             "* BYE No command received in time\r\n",
             "* BYE [UNAVAILABLE] Server shutting down\r\n"}},
        Row{"managesieve",
            "STARTTLS\r\n",
            {"BYE (TRYLATER) \"Server not available, try again later.\"\r\n",
             "BYE \"No command received in time.\"\r\n",
             "BYE (TRYLATER) \"Server shutting down.\"\r\n"}},
        Row{"acap",
            "a STARTTLS\r\n",
            {"* BYE (TRYLATER) \"Server not available, try again later\"\r\n",
             "* BYE \"No command received in time\"\r\n",
             "* BYE (TRYLATER) \"Server shutting down\"\r\n"}},
        Row{"irc",
            "STARTTLS\r\n",
            {"ERROR :Closing link: server not available, try again later\r\n",
             "ERROR :Closing link: no command received in time\r\n",
             "ERROR :Closing link: server shutting down\r\n"},
            /*leg=*/true,
            /*late_inside=*/"ERROR :Closing link: registration timed out\r\n"},
        Row{"ftp",
            "AUTH TLS\r\n",
            {"421 Server not available, try again later\r\n", "421 No command received in time\r\n",
             "421 Server shutting down, closing control connection\r\n"}},
        Row{"telnet",
            "\xff\xfb\x2e\xff\xfa\x2e\x01\xff\xf0",
            {"\r\nServer not available, try again later\r\n", "\r\nNo command received in time\r\n",
             "\r\nServer shutting down\r\n"},
            /*leg=*/false}),
    [](const auto& info) { return info.param.protocol; });

}  // namespace
}  // namespace starling
