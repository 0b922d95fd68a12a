// What common monitoring programs wait for before TLS, according to their own sources and
// examples: blackbox_exporter's example.yml, check_tcp and check_smtp, Zabbix' simple
// checks, HAProxy's manual. tests/e2e/test_probes.py runs the programs themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/registry.h"

namespace starling {
namespace {

struct Probe {
  const char* name;
  const char* protocol;
  const char* says;   // after the greeting, if there is one
  const char* waits;  // a pattern that a line of the answer must match
};

constexpr Probe kProbes[] = {
    {"blackbox smtp_starttls", "smtp", "", "^220 ([^ ]+) ESMTP (.+)$"},
    {"blackbox smtp_starttls, the offer", "smtp", "EHLO prober\r\n", "^250-STARTTLS"},
    {"blackbox smtp_starttls, the go-ahead", "smtp", "STARTTLS\r\n", "^220"},
    {"blackbox smtp_starttls, for LMTP", "lmtp", "", "^220 ([^ ]+) LMTP (.+)$"},
    {"the same, the offer", "lmtp", "LHLO prober\r\n", "^250-STARTTLS"},
    {"haproxy smtpchk", "smtp", "HELO localhost\r\n", "^2[0-9]{2}[- ]"},
    {"haproxy smtpchk, goodbye", "smtp", "QUIT\r\n", "^2[0-9]{2}[- ]"},
    {"zabbix smtp", "smtp", "", "^220 "},
    {"blackbox imap_starttls", "imap", "", "OK.*STARTTLS"},
    {"blackbox imap_starttls, the go-ahead", "imap", ". STARTTLS\r\n", "OK"},
    {"blackbox imap_starttls, the list", "imap", ". capability\r\n", "CAPABILITY IMAP4rev1"},
    {"check_imap, zabbix imap", "imap", "", "^\\* OK"},
    {"check_imap, goodbye", "imap", "a1 LOGOUT\r\n", "^a1 OK"},
    {"check_pop, zabbix pop", "pop3", "", "^\\+OK"},
    {"haproxy's manual, POP3", "pop3", "", "\\+OK POP3 ready"},
    {"check_nntp, zabbix nntp", "nntp", "", "^200"},
    {"check_ftp, zabbix ftp", "ftp", "", "^220 "},
    {"as for SMTP", "ftp", "", "^220 ([^ ]+) FTP (.+)$"},
    {"check_jabber", "xmpp-client",
     "<stream:stream to='host' xmlns='jabber:client' "
     "xmlns:stream='http://etherx.jabber.org/streams'>\n",
     "^<\\?xml version='1\\.0'"},
};

TEST(Probes, FindWhatTheyWaitFor) {
  for (const Probe& probe : kProbes) {
    SCOPED_TRACE(probe.name);
    DialogueOptions options;
    options.hostname = "mail.example.org";
    for (Policy policy : {Policy::kRequire, Policy::kOpportunistic}) {
      const ProtocolRow* row = FindProtocol(probe.protocol);
      if (policy == Policy::kOpportunistic && !row->opportunistic) continue;
      options.policy = policy;
      DialogueDriver driver(row->create, options);
      driver.Start(/*random=*/1);
      std::string said = driver.TakeToClient();
      if (*probe.says != '\0') {
        driver.Client(probe.says);
        said = driver.TakeToClient();
      }
      bool found = false;
      const std::regex pattern(probe.waits);
      for (size_t begin = 0; begin < said.size();) {
        size_t end = std::min(said.find("\r\n", begin), said.size());
        found = found || std::regex_search(said.substr(begin, end - begin), pattern);
        begin = end + 2;
      }
      EXPECT_TRUE(found) << said;
    }
  }
}

// An attacker who looks for a product's faults learns nothing.
TEST(Probes, GreetingsNameNoVersion) {
  DialogueOptions options;
  options.hostname = "mail.example.org";
  for (const ProtocolRow& row : AllProtocols()) {
    if (row.create == nullptr || !row.server_first) continue;
    SCOPED_TRACE(row.name);
    DialogueDriver driver(row.create, options);
    driver.Start(/*random=*/1);
    const std::string said = driver.TakeToClient();
    EXPECT_NE(said, "");
    EXPECT_FALSE(std::regex_search(said, std::regex("[0-9]+\\.[0-9]+\\.[0-9]+"))) << said;
  }
}

}  // namespace
}  // namespace starling
