// What -t warns of, and where it must not warn.
#include <gtest/gtest.h>

#include <string>

#include "gateway/config/loader_testing.h"

namespace starling {
namespace {

constexpr char kNoHeader[] =
    "backend b gets no PROXY header: it takes every client for a local one, and many servers let "
    "local clients relay or log in in plaintext; set proxy_protocol: v2";
constexpr char kUnknown[] =
    "backend b is not told who the clients are, and takes them for local ones; set proxy_protocol: "
    "v2, or webirc_password_file in the listener's section irc";
constexpr char kV1[] =
    "backend b gets a PROXY header of version 1, which does not say that the client uses TLS; set "
    "proxy_protocol: v2";
constexpr char kNoSsl[] =
    "backend b gets PROXY headers without the ssl TLV, which do not say that the client uses TLS";

std::string Warnings(const TestFile& file) {
  const LoadResult result = Load(file);
  EXPECT_TRUE(result.ok()) << result.ErrorText();
  return Lines(result.warnings);
}

// A listener on port 2525 and its backend, with the options of both.
std::string Warnings(const std::string& listener, const std::string& backend) {
  return Warnings({.listeners = "listeners: [{backend: b, name: in, bind: \"127.0.0.1:2525\", " +
                                listener + "}]",
                   .backends = "backends: [{name: b, servers: \"unix:/b\", " + backend + "}]"});
}

TEST(Warnings, NoneForAGoodFile) { EXPECT_EQ(Warnings({}), ""); }

struct ProxyRow {
  std::string listener;
  std::string backend;
  std::string warning;  // at the name of the backend
};

TEST(Warnings, OfServersThatTransferNothing) {
  const auto warnings = [](const std::string& backend) {
    return Warnings({.listeners = "listeners: [{backend: b, name: in, bind: \"127.0.0.1:2525\", "
                                  "protocol: ftp, tls: starttls}]",
                     .backends = "backends: [{name: b, " + backend + "}]"});
  };
  EXPECT_EQ(warnings("servers: \"127.0.0.1:21\", proxy_protocol: none"), "");
  const std::string nothing =
      "2:23: FTP's data connections need servers at TCP addresses, without a PROXY header and "
      "without tls; with backend b clients can transfer no files";
  EXPECT_EQ(warnings("servers: \"127.0.0.1:21\", proxy_protocol: v2"), nothing);
  EXPECT_EQ(warnings("servers: \"unix:/b\", proxy_protocol: none"), nothing);
}

TEST(Warnings, OfBackendsThatDoNotLearnOfTls) {
  const std::string plain_mx =
      "protocol: smtp, tls: starttls, policy: opportunistic, plaintext_backend: b";
  const ProxyRow table[] = {
      {"protocol: imap, tls: implicit", "proxy_protocol: v2", ""},
      {"protocol: imap, tls: implicit", "proxy_protocol: none", kNoHeader},
      {"protocol: imap, tls: implicit", "proxy_protocol: v1", kV1},
      {"protocol: imap, tls: implicit", "proxy_protocol: v2, proxy_tlvs: [alpn]", kNoSsl},
      {"protocol: pop3, tls: starttls", "proxy_protocol: none", kNoHeader},
      {"protocol: pop3, tls: starttls", "proxy_protocol: v1", kV1},
      {"protocol: managesieve, tls: starttls", "proxy_protocol: none", kNoHeader},
      {"protocol: managesieve, tls: starttls", "proxy_protocol: v1", kV1},
      {"protocol: smtp, tls: starttls", "proxy_protocol: none", kNoHeader},
      {"protocol: smtp, tls: starttls", "proxy_protocol: v1", kV1},
      {"protocol: smtp, tls: implicit", "proxy_protocol: v1", kV1},
      {"protocol: lmtp, tls: starttls", "proxy_protocol: none", ""},
      {"protocol: irc, tls: starttls", "proxy_protocol: none", kUnknown},
      {"protocol: irc, tls: implicit", "proxy_protocol: none", kUnknown},
      {"protocol: irc, tls: implicit", "proxy_protocol: v1", ""},
      {"protocol: irc, tls: implicit, irc: {webirc_password_file: f}", "proxy_protocol: none", ""},
      {"protocol: tcp, tls: implicit", "proxy_protocol: none", ""},
      {plain_mx, "proxy_protocol: v2", ""},
      {plain_mx, "proxy_protocol: v1", ""},
  };
  for (const ProxyRow& row : table) {
    const std::string place = row.warning.empty() ? "" : "2:23: ";
    EXPECT_EQ(Warnings(row.listener, row.backend), place + row.warning)
        << row.listener << " " << row.backend;
  }
}

TEST(Warnings, OfDirectoriesThatKnowClientsByTheirProcess) {
  const auto ldap = [](const std::string& tls, const std::string& servers,
                       const std::string& backend) {
    return Warnings(
        {.listeners =
             "listeners: [{backend: b, name: in, protocol: ldap, bind: \"127.0.0.1:3890\", tls: " +
             tls + "}]",
         .backends = "backends: [{name: b, servers: " + servers + ", " + backend + "}]"});
  };
  const std::string v2 = "proxy_protocol: v2";
  const std::string peer =
      "2:23: at unix:/ldapi slapd takes every client for the gateway's own user, who may log in by "
      "SASL EXTERNAL without a password; use a TCP listener (pldap://127.0.0.1:PORT)";
  EXPECT_EQ(ldap("starttls", "\"127.0.0.1:1389\"", v2), "");
  EXPECT_EQ(ldap("starttls", "[\"127.0.0.1:1389\", \"unix:/ldapi\"]", v2), peer);
  EXPECT_EQ(ldap("implicit", "\"unix:/ldapi\"", v2), peer);
  EXPECT_EQ(ldap("starttls", "\"127.0.0.1:1389\"", "proxy_protocol: none"),
            std::string("2:23: ") + kNoHeader);
  EXPECT_EQ(ldap("implicit", "\"127.0.0.1:1389\"", "proxy_protocol: v1"),
            std::string("2:23: ") + kV1);
}

TEST(Warnings, OfLenientEnds) {
  const auto ftp = [](const std::string& options) {
    return Warnings({.listeners = "listeners: [{backend: b, name: in, bind: \"127.0.0.1:2121\", "
                                  "protocol: ftp, tls: implicit" +
                                  options + "}]",
                     .backends = "backends: [{name: b, servers: \"127.0.0.1:21\"}]"});
  };
  EXPECT_EQ(ftp(", ftp: {data_close: strict}"), "");
  EXPECT_EQ(ftp(", ftp: {data_close: lenient}"),
            "2:108: data_close: lenient accepts an upload that was cut off: the server keeps a "
            "part of the file, and the client sees no error");
}

TEST(Warnings, OfFtpBehindALoadBalancer) {
  const std::string text =
      "a load balancer passes on FTP's control connections only; for data, clients would connect "
      "to its address, where nobody listens for them";
  const auto ftp = [](const std::string& options) {
    return Warnings({.listeners = "listeners: [{backend: b, name: in, bind: \"127.0.0.1:2121\", "
                                  "protocol: ftp, tls: implicit" +
                                  options + "}]",
                     .backends = "backends: [{name: b, servers: \"127.0.0.1:21\"}]"});
  };
  EXPECT_EQ(ftp(""), "");
  EXPECT_EQ(ftp(", proxy_protocol: {from: [192.0.2.1]}"), "2:106: " + text);
}

TEST(Warnings, OfWhoeverMayPoseAsAnyClient) {
  const auto load = [](const std::string& from, const std::string& role) {
    return Warnings({.listeners = "listeners: [{backend: b, name: in, bind: \"127.0.0.1:2525\", "
                                  "protocol: tcp, tls: implicit, proxy_protocol: {from: " +
                                  from + "}}]",
                     .rest = "sources: [{from: \"::/0\", role: " + role + "}]"});
  };
  const std::string text = " lets anybody pose as any client by a PROXY header";
  EXPECT_EQ(load("[balancer, 192.0.2.0/24]", "balancer"), "4:18: ::/0" + text);
  EXPECT_EQ(load("[exempt, \"0.0.0.0/0\"]", "exempt"),
            "2:122: 0.0.0.0/0" + text + "\n4:18: ::/0" + text);
  EXPECT_EQ(load("\"0.0.0.0/0\"", "exempt"), "2:113: 0.0.0.0/0" + text);
}

TEST(Warnings, OfDatabases) {
  const auto postgresql = [](const std::string& servers, const std::string& backend) {
    return Warnings(
        {.listeners = "listeners: [{backend: b, name: in, protocol: postgresql, bind: "
                      "\"127.0.0.1:5432\", tls: starttls}]",
         .backends = "backends: [{name: b, servers: " + servers + ", " + backend + "}]"});
  };
  const std::string none = "proxy_protocol: none";
  EXPECT_EQ(postgresql("\"127.0.0.1:15432\"", none), "");
  EXPECT_EQ(postgresql("\"127.0.0.1:15432\"", "proxy_protocol: v2"),
            "2:23: backend b gets PROXY headers, which PostgreSQL does not know; set "
            "proxy_protocol: none");
  EXPECT_EQ(postgresql("\"unix:/.s.PGSQL.5432\"", none),
            "2:23: at unix:/.s.PGSQL.5432 PostgreSQL takes every client for a local one, whom peer "
            "and trust let in without a password; use a TCP address");
}

TEST(Warnings, OfWebServersThatSeeOnlyLocalClients) {
  const auto http = [](const std::string& servers, const std::string& backend) {
    return Warnings(
        {.listeners = "listeners: [{backend: b, name: in, protocol: http, bind: \"127.0.0.1:631\", "
                      "tls: starttls}]",
         .backends = "backends: [{name: b, servers: " + servers + ", " + backend + "}]"});
  };
  const auto local = [](const std::string& server) {
    return "2:23: at " + server +
           " CUPS takes every client for a local one, who may make printers without a password, "
           "and Apache lets them in by \"Require local\"; use another address of this machine for "
           "CUPS, and proxy_protocol: v2 for Apache";
  };
  const std::string none = "proxy_protocol: none, allow_plaintext_network: true";
  EXPECT_EQ(http("\"127.0.0.1:4080\"", "proxy_protocol: v2"), "");
  EXPECT_EQ(http("\"127.0.0.1:4080\"", "proxy_protocol: v1"), "");
  EXPECT_EQ(http("\"127.0.0.1:4080\"", "proxy_protocol: none"), local("127.0.0.1:4080"));
  EXPECT_EQ(http("\"unix:/cups\"", "proxy_protocol: none"), local("unix:/cups"));
  EXPECT_EQ(http("\"192.0.2.1:4631\"", none).find("CUPS"), std::string::npos);
}

TEST(Warnings, OfAnMxThatSeesOnlyLocalClients) {
  EXPECT_EQ(Warnings("protocol: smtp, tls: starttls, policy: opportunistic, plaintext_backend: b",
                     "proxy_protocol: none"),
            std::string("2:23: ") + kNoHeader + "\n2:133: " + kNoHeader);
}

TEST(Warnings, OfRequireOnPort25) {
  const auto mx = [](const std::string& options) {
    return Warnings(
        {.listeners = "listeners: [{name: in, backend: b, protocol: smtp, bind: \"0.0.0.0:25\", " +
                      options + "}]"});
  };
  EXPECT_EQ(mx("tls: starttls, policy: require"),
            "2:95: policy require on port 25 turns away mail of servers without TLS; RFC 3207 "
            "section 4 forbids it for a public MX");
  EXPECT_EQ(mx("tls: implicit"), "2:58: port 25 is usually for smtp with tls: starttls");
  EXPECT_EQ(mx("tls: starttls, plaintext_backend: b"), "");
}

TEST(Warnings, OfPlaintext) {
  const std::string v2 = "proxy_protocol: v2";
  EXPECT_EQ(Warnings("protocol: smtp, tls: starttls, policy: opportunistic", v2),
            "2:13: listener in has no plaintext_backend: its backend cannot tell whether a client "
            "used TLS");
  EXPECT_EQ(Warnings("protocol: smtp, tls: starttls, policy: opportunistic, plaintext_backend: b, "
                     "plaintext_auth: allow",
                     v2),
            "2:152: plaintext_auth: allow lets passwords cross the network in plaintext");
  EXPECT_EQ(Warnings("protocol: imap, tls: starttls, policy: opportunistic", v2), "");
  EXPECT_EQ(Warnings("protocol: imap, tls: starttls, plaintext_auth: allow", v2),
            "2:107: plaintext_auth: allow has no effect without policy opportunistic");
  EXPECT_EQ(Warnings("protocol: imap, tls: starttls, accept_bare_lf: true", v2),
            "2:107: accept_bare_lf makes line ends ambiguous, which attacks on mail exploit");
  EXPECT_EQ(Warnings("protocol: imap, tls: implicit, accept_bare_lf: true", v2),
            "2:107: accept_bare_lf has no effect with implicit TLS");
  EXPECT_EQ(
      Warnings("protocol: imap, tls: starttls, accept_bare_lf: false, plaintext_auth: refuse", v2),
      "");
}

// The place is that of the address.
TEST(Warnings, OfPortsThatAreUsualForOthers) {
  struct Row {
    std::string protocol, tls, address, warning;
  };
  const Row table[] = {
      {"imap", "starttls", "127.0.0.1:143", ""},
      {"imap", "implicit", "[::1]:993", ""},
      {"imap", "implicit", "127.0.0.1:143", "port 143 is usually for imap with tls: starttls"},
      {"imap", "starttls", "127.0.0.1:993", "port 993 is usually for imap with tls: implicit"},
      {"imap", "starttls", "127.0.0.1:110", "port 110 is usually for pop3 with tls: starttls"},
      {"imap", "implicit", "127.0.0.1:636", "port 636 is usually for ldap with tls: implicit"},
      {"imap", "starttls", "127.0.0.1:2143", ""},
      {"tcp", "implicit", "127.0.0.1:143", ""},
  };
  for (const Row& row : table) {
    const std::string listeners = "listeners: [{name: in, backend: b, protocol: " + row.protocol +
                                  ", tls: " + row.tls + ", bind: ";
    const std::string place = "2:" + std::to_string(listeners.size() + 1) + ": ";
    EXPECT_EQ(Warnings({.listeners = listeners + "\"" + row.address + "\"}]"}),
              row.warning.empty() ? "" : place + row.warning);
  }
}

TEST(Warnings, OfCiphersThatTls13DoesNotHave) {
  const std::string start =
      "listeners: [{name: in, backend: b, protocol: smtp, tls: starttls, policy: opportunistic, "
      "plaintext_backend: b, bind: \"127.0.0.1:2525\", smtp: {cbc_ciphers: ";
  EXPECT_EQ(Warnings({.listeners = start + "true}}]"}), "");
  EXPECT_EQ(Warnings({.listeners = start + "true}, tls_options: {preset: modern}}]"}),
            "2:" + std::to_string(start.size() + 1) +
                ": cbc_ciphers has no effect with min_version TLSv1.3");
  EXPECT_EQ(Warnings({.listeners = start + "false}, tls_options: {preset: modern}}]"}), "");
}

TEST(Warnings, OfNames) {
  const auto of = [](const std::string& options) {
    return Warnings({.backends = "backends: [{name: b, proxy_protocol: v2, servers: "
                                 "[\"a.example:25\"]" +
                                 options + "}]"});
  };
  EXPECT_EQ(of(""),
            "3:52: without tls and allow_plaintext_network, the gateway uses the addresses of "
            "a.example:25 only where they are on loopback");
  EXPECT_EQ(of(", allow_plaintext_network: 10.0.0.0/8"),
            "3:52: the gateway sends the clients' decrypted data to a.example:25 in plaintext over "
            "a network");
  EXPECT_EQ(of(", tls: {}"), "");
}

TEST(Warnings, OfNetworks) {
  EXPECT_EQ(
      Warnings({.backends = "backends: [{name: b, proxy_protocol: v2, allow_plaintext_network: "
                            "true, servers: [\"127.0.0.1:1\", \"192.0.2.1:25\"]}]"}),
      "3:67: allow_plaintext_network allows every network; list those of the servers, such as "
      "10.96.0.0/12\n"
      "3:98: the gateway sends the clients' decrypted data to 192.0.2.1:25 in plaintext over a "
      "network");
  const std::string lmtp =
      "listeners: [{name: in, backend: b, protocol: lmtp, tls: implicit, bind: ";
  EXPECT_EQ(
      Warnings({.listeners = lmtp + "[\"127.0.0.1:24\", \"192.0.2.1:24\"]}]"}),
      "2:90: lmtp has no log-in: anybody who reaches 192.0.2.1:24 can put mail into every mailbox");
  EXPECT_EQ(Warnings({.listeners = lmtp + "\"[::1]:24\"}]"}), "");
  EXPECT_EQ(Warnings({.listeners =
                          lmtp + "\"[::1]:24\", proxy_protocol: {from: [10.0.0.0/8, \"::/0\"]}}]"}),
            "2:121: ::/0 lets anybody pose as any client by a PROXY header");
  EXPECT_EQ(Warnings({.rest = "sources: [{from: [10.0.0.0/8, \"::/0\"], role: balancer}]"}),
            "4:31: ::/0 lets anybody pose as any client by a PROXY header");
  EXPECT_EQ(Warnings({.rest = "sources: [{from: \"::/0\", role: exempt}]"}), "");
}

TEST(Warnings, OfTlvsThatNoHeaderCarries) {
  const std::string tcp = "protocol: tcp, tls: implicit";
  const std::string text = "proxy_tlvs has no effect without proxy_protocol: v2";
  EXPECT_EQ(Warnings(tcp, "proxy_tlvs: [ssl]"), "3:54: " + text);
  EXPECT_EQ(Warnings(tcp, "proxy_protocol: v1, proxy_tlvs: [ssl]"), "3:74: " + text);
  EXPECT_EQ(Warnings(tcp, "proxy_protocol: v2, proxy_tlvs: [ssl]"), "");
}

TEST(Warnings, OfServersThatAreNotVerified) {
  const std::string start =
      "backends: [{name: b, proxy_protocol: v2, servers: \"192.0.2.1:25\", tls: {name: "
      "mx.example, ";
  EXPECT_EQ(Warnings({.backends = start + "verify: required}}]"}), "");
  EXPECT_EQ(Warnings({.backends = start + "verify: none}}]"}),
            "3:99: verify: none lets anybody who poses as a server of backend b read and change "
            "what clients send");
}

TEST(Warnings, OfBackendsThatNobodyUses) {
  EXPECT_EQ(Warnings({.backends = "backends:\n  - {name: b, servers: \"unix:/b\", proxy_protocol: "
                                  "v2}\n  - {name: c, servers: \"unix:/c\"}"}),
            "5:5: no listener uses backend c");
}

TEST(Warnings, AreLinesWithPlaces) {
  const LoadResult result =
      Load(TestFile{.backends = "backends: [{name: b, servers: \"unix:/b\", proxy_protocol: v1}]"});
  EXPECT_EQ(result.WarningText(), "f:2:88: warning: " + std::string(kV1) + "\n");
}

}  // namespace
}  // namespace starling
