// Errors of options that are right alone and contradict each other, and the order of errors.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gateway/config/loader_errors_testing.h"

namespace starling {
namespace {

TEST(LoaderRules, RulesBetweenOptions) {
  Expect({
      {"a limit for those that have none",
       {.rest = "sources: [{from: 192.0.2.1, role: exempt, sessions: 1}]"},
       "4:53: found a limit for sources that have none, expected no sessions, or role: client or "
       "trusted"},
      {"a role that no source has",
       {.listeners = "listeners:\n"
                     "  - {name: in, protocol: tcp, bind: \"[::1]:9\", tls: implicit, backend: b,\n"
                     "     proxy_protocol: {from: [192.0.2.1, balancer]}}",
        .rest = "sources: [{from: 192.0.2.1, role: exempt}]"},
       "4:29: from names the role balancer, which no row of sources has; add such a row, or name "
       "the addresses here"},
      {"everybody else is no load balancer",
       {.listeners = "listeners:\n"
                     "  - {name: in, protocol: tcp, bind: \"[::1]:9\", tls: implicit, backend: b,\n"
                     "     proxy_protocol: {from: [192.0.2.1, client], others: direct}}"},
       "4:41: found \"client\" for from, expected an IP address or a range, such as 192.0.2.0/24 "
       "or "
       "2001:db8::/32 (not an IP address), or a role of sources: balancer, probe, exempt or "
       "trusted"},
      {"the name of a listener twice",
       {.listeners = "listeners:\n"
                     "  - {name: in, protocol: tcp, bind: \"[::1]:9\", tls: implicit, backend: "
                     "b}\n"
                     "  - {name: in, protocol: tcp, bind: \"[::1]:8\", tls: implicit, backend: b}"},
       "4:12: \"in\" already names the listener on line 3; choose another name"},
      {"the name of a backend twice",
       {.backends = "backends: [{name: b, servers: \"unix:/b\"}, {name: b, servers: \"unix:/c\"}]"},
       "3:50: \"b\" already names the backend on line 3; choose another name"},
      {"an address twice, written differently",
       {.listeners = "listeners:\n"
                     "  - {name: a, protocol: tcp, bind: \"[::]:9\", tls: implicit, "
                     "backend: b}\n"
                     "  - {name: c, protocol: tcp, bind: [\"[::1]:9\", \"[0::0]:9\"], "
                     "tls: implicit, backend: b}"},
       "4:48: \"[::]:9\" is already used on line 3; choose another address"},
      {"an address of the metrics",
       {.rest = "metrics: {bind: \"127.0.0.1:2525\"}"},
       "4:17: \"127.0.0.1:2525\" is already used on line 2; choose another address"},
      {"more addresses than refusals",
       {.listeners = "listeners:\n"
                     "  - {name: a, protocol: tcp, bind: [\"127.0.0.1:9\", "
                     "\"127.0.0.1:8\"], tls: implicit, backend: b}",
        .rest = "limits: {refusals: 1}"},
       "5:20: refusals is 1, but the listeners have 2 addresses, and each needs one; make it at "
       "least 2"},
      {"more reserved sessions than there are",
       {.listeners = "listeners:\n"
                     "  - {name: a, protocol: tcp, bind: \"[::]:9\", tls: implicit, backend: b}\n"
                     "  - {name: c, protocol: tcp, bind: \"[::]:8\", tls: implicit, backend: b,\n"
                     "     limits: {reserved_sessions: 30}}",
        .rest = "limits: {sessions: 50, reserved_sessions: 21}"},
       "5:34: up to this listener, 51 sessions are reserved, but a worker has only 50 "
       "(limits.sessions); reserve fewer, or raise that limit"},
      {"more reserved sessions than a listener may have",
       {.rest = "limits: {reserved_sessions: 6, most_sessions: 5}"},
       "4:47: most_sessions is 5, but 6 sessions are reserved for the listener; raise it, or "
       "reserve fewer"},
      {"no such backend",
       {.listeners = "listeners: [{name: in, protocol: smtp, bind: \"127.0.0.1:25\", tls: "
                     "starttls, backend: c, plaintext_backend: bb}]"},
       "2:86: found \"c\" for backend, expected the name of a backend\n"
       "2:108: "
       "found \"bb\" for plaintext_backend, expected the name of a backend; did you mean \"b\"?"},
      {"no such protocol",
       {.listeners = Listener("protocol: impa, bind: \"[::1]:9\", tls: implicit")},
       "2:34: found \"impa\" for protocol, expected one of " + Protocols() +
           "; did you mean \"imap\"?"},
      {"no upgrade command",
       {.listeners = Listener("protocol: tcp, bind: \"[::1]:9\", tls: starttls")},
       "2:61: tcp has no upgrade command; use tls: implicit"},
      {"opportunistic where it is not supported",
       {.listeners =
            Listener("protocol: nntp, bind: \"[::1]:9\", tls: starttls, policy: opportunistic")},
       "2:80: nntp does not support policy: opportunistic, only " +
           Protocols(/*opportunistic_only=*/true) + " do; use policy: require"},
      {"a section of another protocol",
       {.listeners =
            Listener("protocol: nntp, bind: \"[::1]:9\", tls: starttls, xmpp: {domains: [a.b]}")},
       "2:78: a listener with protocol nntp cannot have a section xmpp; remove it"},
      {"CBC where no client would go on in plaintext",
       {.listeners = Listener("protocol: smtp, bind: \"[::1]:9\", tls: starttls, policy: require, "
                              "smtp: {cbc_ciphers: true}")},
       "2:109: cbc_ciphers: true needs tls: starttls and policy: opportunistic; elsewhere no "
       "client would fall back to plaintext, so set it to false"},
      {"CBC with implicit TLS",
       {.listeners = Listener(
            "protocol: smtp, bind: \"[::1]:9\", tls: implicit, smtp: {cbc_ciphers: true}")},
       "2:92: cbc_ciphers: true needs tls: starttls and policy: opportunistic; elsewhere no client "
       "would fall back to plaintext, so set it to false"},
      {"CBC for mailboxes",
       {.listeners = Listener("protocol: imap, bind: \"[::1]:9\", tls: starttls, policy: "
                              "opportunistic, smtp: {cbc_ciphers: true}")},
       "2:101: a listener with protocol imap cannot have a section smtp; remove it"},
      {"less time in all than without a command",
       {.rest = "limits: {pre_relay_total: 50s}"},
       "4:27: pre_relay_total is shorter than pre_relay, so clients that give commands would have "
       "less time than clients that give none; make it at least as long"},
      {"the same of a listener's own",
       {.listeners =
            Listener("protocol: smtp, bind: \"[::1]:9\", tls: starttls, limits: {pre_relay: 80s}"),
        .rest = "limits: {pre_relay_total: 70s}"},
       "2:92: pre_relay_total is shorter than pre_relay, so clients that give commands would have "
       "less time than clients that give none; make it at least as long"},
      {"data ports that are no range",
       {.listeners =
            Listener("protocol: ftp, bind: \"[::1]:9\", tls: starttls, ftp: {data_ports: 9-3}")},
       "2:89: found \"9-3\" for data_ports, expected FIRST-LAST, ports from 1024 to 65535, such as "
       "40000-40999"},
      {"an address that PASV cannot name",
       {.listeners =
            Listener("protocol: ftp, bind: \"[::1]:9\", tls: starttls, ftp: {address: \"::1\"}")},
       "2:86: found \"::1\" for address, expected an IPv4 address, such as 203.0.113.7; IPv6 "
       "clients use EPSV, whose reply has no address"},
      {"IRC's options",
       {.listeners = Listener("protocol: irc, bind: \"[::1]:9\", tls: starttls, policy: "
                              "opportunistic, irc: {sts_port: 65536, webirc_password_file: \"\"}")},
       "2:79: irc does not support policy: opportunistic, only " +
           Protocols(/*opportunistic_only=*/true) +
           " do; use policy: require\n"
           "2:110: found \"65536\" for sts_port, expected 0 to "
           "65535\n"
           "2:139: found \"\" for webirc_password_file, expected the name of a file"},
      {"opportunistic with implicit TLS",
       {.listeners =
            Listener("protocol: smtp, bind: \"[::1]:9\", tls: implicit, policy: opportunistic")},
       "2:80: policy: opportunistic has no meaning with tls: implicit, where no client speaks "
       "plaintext; use policy: require"},
      {"plaintext_backend without plaintext",
       {.listeners =
            Listener("protocol: smtp, bind: \"[::1]:9\", tls: starttls, plaintext_backend: b")},
       "2:91: with policy: require no session is in plaintext; remove plaintext_backend, or set "
       "policy: opportunistic"},
      {"plaintext over a network",
       {.backends = "backends: [{name: b, servers: [\"127.0.0.2:1\", \"[::1]:1\", \"192.0.2.1:1\", "
                    "\"0.0.0.0:1\"]}]"},
       "3:58: \"192.0.2.1:1\" is neither a Unix socket nor on loopback, so the clients' data would "
       "cross a network in plaintext; give the backend tls, or list the network in "
       "allow_plaintext_network if it is safe\n"
       "3:73: \"0.0.0.0:1\" is neither a Unix socket nor on "
       "loopback, so the clients' data would cross a network in plaintext; give the backend tls, "
       "or list the network in allow_plaintext_network if it is safe"},
      {"a name twice",
       {.backends = "backends: [{name: b, servers: [\"a.example:25\", \"a.example:26\", "
                    "\"a.example:25\"]}]"},
       "3:64: \"a.example:25\" is in the list twice; remove one"},
      {"an address among names that TLS is to know",
       {.backends =
            "backends: [{name: b, servers: [\"a.example:25\", \"127.0.0.1:25\"], tls: {}}]"},
       "3:70: tls has no name; add name: the host name in the servers' certificates (verify: none "
       "would accept anybody as the server)"},
      {"names that are to be looked up at no time",
       {.rest = "resolve: {min: 10s, max: 9s}"},
       "4:26: max is shorter than min; make it at least as long"},
      {"a group without a user",
       {.rest = "group: mail"},
       "4:8: group needs a user; add user: the name of a user"},
      {"a drain that ends first",
       {.rest = "limits: {drain_delay: 10s, drain: 9999ms}"},
       "4:35: drain is shorter than drain_delay, so the gateway would end sessions while it still "
       "accepts clients; make it at least as long"},
      {"a delay beyond the drain's default",
       {.rest = "limits: {drain_delay: 6m}"},
       "4:23: drain is shorter than drain_delay, so the gateway would end sessions while it still "
       "accepts clients; make it at least as long"},
      {"a drain that cannot be read",
       {.rest = "limits: {drain_delay: 6m, drain: 9}"},
       "4:34: found \"9\" for drain, expected a duration with its unit, such as 500ms, 30s, 5m or "
       "1h (0s to 24h)"},
  });
  EXPECT_TRUE(Load(TestFile{.rest = "limits: {drain_delay: 10s, drain: 10s}"}).ok());
}

TEST(LoaderRules, ServersOfAllBackends) {
  // As many servers as are allowed, and then two backends more.
  std::string backends = "backends: [";
  for (size_t b = 0; b < kMaxServersInAll / kMaxServers; ++b) {
    backends += "{name: b" + (b == 0 ? "" : std::to_string(b)) + ", servers: [";
    for (size_t s = 0; s < kMaxServers; ++s) backends += "\"unix:/" + std::to_string(s) + "\", ";
    backends += "]}, ";
  }
  EXPECT_TRUE(Load(TestFile{.backends = backends + "]"}).ok());
  backends += "\n  {name: c, servers: \"unix:/c\"}, {name: d, servers: \"unix:/d\"}]";
  EXPECT_EQ(Lines(Load(TestFile{.backends = backends}).errors),
            "4:22: all backends together have 2050 servers; at most 2048 are allowed");
}

TEST(LoaderRules, AllAtOnceInTheOrderOfTheFile) {
  const LoadResult result = Load(
      "hostname: a b\ntls: {certificates: [{cert: a}]}\nlimits: {idle: 5}\n"
      "listeners: [{name: in, "
      "protocol: smpt, tls: no, bind: x, backend: q}]\n"
      "backends: [{name: b, servers: []}]\n");
  std::vector<int> lines;
  for (const Problem& problem : result.errors) lines.push_back(problem.mark.line);
  EXPECT_EQ(lines, (std::vector<int>{1, 2, 3, 4, 4, 4, 4, 5}));
  EXPECT_EQ(result.ErrorText().find("f:1:11: error: found \"a b\""), 0u);
}

}  // namespace
}  // namespace starling
