// Every kind of error: its place, and its text.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/loader_testing.h"
#include "protocols/registry.h"

namespace starling {
namespace {

struct Row {
  std::string name;
  TestFile file;
  std::string errors;  // all of them, a line each
};

// If the error quotes a text first, the place is that of the text, with or without quotes.
void ExpectPlace(const Row& row, const Problem& problem) {
  constexpr std::string_view kFound = "found ";
  std::string_view text = problem.text;
  if (text.starts_with(kFound)) text.remove_prefix(kFound.size());
  if (!text.starts_with('"') || text.find("\\x") != std::string_view::npos) return;
  const std::string word(text.substr(1, text.find('"', 1) - 1));
  std::istringstream lines(row.file.Text());
  std::string line;
  for (int i = 0; i < problem.mark.line; ++i) std::getline(lines, line);
  line = line.substr(static_cast<size_t>(problem.mark.column) - 1);
  if (line.starts_with('"') || line.starts_with('\'')) line = line.substr(1);
  EXPECT_TRUE(line.starts_with(word) || row.name == "an address twice, written differently")
      << row.name << ": " << problem.text << " at " << line;
}

void Expect(const std::vector<Row>& table) {
  for (const Row& row : table) {
    const LoadResult result = Load(row.file);
    EXPECT_EQ(Lines(result.errors), row.errors) << row.name;
    EXPECT_FALSE(result.ok()) << row.name;
    EXPECT_TRUE(result.warnings.empty()) << row.name;
    for (const Problem& problem : result.errors) ExpectPlace(row, problem);
  }
}

// "smtp, lmtp, ...": all of them, in the order of the registry, and those of a policy.
std::string Protocols(bool opportunistic_only = false) {
  std::string names;
  for (const ProtocolRow& row : AllProtocols()) {
    if (opportunistic_only && !row.opportunistic) continue;
    names.append(names.empty() ? "" : ", ").append(row.name);
  }
  return names;
}

std::string Listener(std::string_view options) {
  return "listeners: [{name: in, " + std::string(options) + ", backend: b}]";
}

TEST(LoaderErrors, KeysAndTypes) {
  Expect({
      {"unknown at the top",
       {.rest = "hostnam: a"},
       "4:1: \"hostnam\" is not an option of the top level; did you mean \"hostname\"?"},
      {"unknown in a listener",
       {.listeners = Listener("protocol: tcp, bind: \"[::1]:9\", tls: implicit, polcy: require")},
       "2:71: \"polcy\" is not an option of a listener; did you mean \"policy\"?"},
      {"unknown in limits",
       {.rest = "limits:\n  sesions: 5"},
       "5:3: \"sesions\" is not an option of limits; did you mean \"sessions\"?"},
      {"a limit of the process in a listener",
       {.listeners =
            Listener("protocol: tcp, bind: \"[::1]:9\", tls: implicit, limits: {sessions: 5}")},
       "2:80: \"sessions\" is a limit of the whole process; set it in the general section limits"},
      {"the same key twice",
       {.rest = "user: a\ngroup: b\nuser: c"},
       "6:1: \"user\" is already given on line 4; remove one"},
      {"the same key twice, deeper",
       {.backends = "backends: [{name: b, servers: \"unix:/b\", name: c}]"},
       "3:42: \"name\" is already given on line 3; remove one"},
      {"a key that is no name", {.rest = "[a]: 1"}, "4:1: found a list as a key, expected a name"},
      {"a list for a text",
       {.rest = "hostname: [a]"},
       "4:11: found a list for hostname, expected a host name"},
      {"nothing for a text",
       {.rest = "hostname:"},
       "4:1: found nothing for hostname, expected a host name"},
      {"a text for a map",
       {.rest = "limits: none"},
       "4:9: found \"none\", expected a map with the options of limits"},
      {"a map for a list of maps",
       {.backends = "backends: {name: b}"},
       "2:88: found \"b\" for backend, expected the name of a backend\n"
       "3:11: found a map for "
       "backends, expected a list of maps"},
      {"a text in a list of maps",
       {.backends = "backends: [{name: b, servers: \"unix:/b\"}, c]"},
       "3:43: found \"c\", expected a map with the options of a backend"},
      {"a map in a list of texts",
       {.backends = "backends: [{name: b, servers: [\"unix:/b\", {a: b}]}]"},
       "3:43: found a map for servers, expected text"},
      {"no flag",
       {.rest = "pin_workers: yes"},
       "4:14: found \"yes\" for pin_workers, expected true or false"},
      {"no choice",
       {.rest = "log: {format: jsn}"},
       "4:15: found \"jsn\" for format, expected one of logfmt, json; did you mean \"json\"?"},
      {"control characters",
       {.rest = "hostname: \"a\\r\\nb\""},
       "4:11: found \"a\\x0d\\x0ab\" for hostname, expected a host name"},
  });
}

TEST(LoaderErrors, NumbersDurationsAndSizes) {
  Expect({
      {"no number",
       {.rest = "workers: many"},
       "4:10: found \"many\" for workers, expected a number (1 to 256 threads, or auto)"},
      {"too small",
       {.rest = "workers: 0"},
       "4:10: found \"0\" for workers, expected 1 to 256 threads, or auto"},
      {"too large",
       {.rest = "workers: 257"},
       "4:10: found \"257\" for workers, expected 1 to 256 threads, or auto"},
      {"far too large",
       {.rest = "limits: {sessions: 99999999999999999999}"},
       "4:20: found \"99999999999999999999\" for sessions, expected a number (1 to 1000000 "
       "sessions per worker)"},
      {"negative",
       {.rest = "limits: {sessions: -1}"},
       "4:20: found \"-1\" for sessions, expected a number (1 to 1000000 sessions per worker)"},
      {"no power of two",
       {.rest = "limits: {small_buffers: 100}"},
       "4:25: found \"100\" for small_buffers, expected 8 to 32768 buffers per worker, a power of "
       "two"},
      {"no unit",
       {.rest = "limits: {handshake: 15}"},
       "4:21: found \"15\" for handshake, expected a duration with its unit, such as 500ms, 30s, "
       "5m or 1h (10ms to 1h)"},
      {"too short",
       {.rest = "limits: {handshake: 9ms}"},
       "4:21: found \"9ms\" for handshake, expected 10ms to 1h"},
      {"too long",
       {.rest = "limits: {handshake: 61m}"},
       "4:21: found \"61m\" for handshake, expected 10ms to 1h"},
      {"not whole seconds",
       {.rest = "limits: {keepalive: 1500ms}"},
       "4:21: found \"1500ms\" for keepalive, expected whole seconds"},
      {"no size",
       {.rest = "limits: {linger_bytes: 64k}"},
       "4:24: found \"64k\" for linger_bytes, expected a size, such as 512, 64KiB or 1MiB (0 to "
       "16MiB)"},
      {"too large a size",
       {.rest = "limits: {max_line: 3KiB}"},
       "4:20: found \"3KiB\" for max_line, expected 512 to 2KiB"},
  });
}

TEST(LoaderErrors, Texts) {
  Expect({
      {"names",
       {.listeners = "listeners: [{name: \"a b\", protocol: tcp, bind: \"[::1]:9\", tls: implicit, "
                     "backend: b}]"},
       "2:20: found \"a b\" for name, expected a name of 1 to 64 letters, digits, '-', '_' and "
       "'.'"},
      {"host names",
       {.rest = "hostname: a b"},
       "4:11: found \"a b\" for hostname, expected a host name, or an address in brackets"},
      {"users",
       {.rest = "user: ''"},
       "4:7: found \"\" for user, expected the name of a user or group"},
      {"files",
       {.tls = "tls: {certificates: [{cert: '', key: a.key}]}"},
       "1:29: found \"\" for cert, expected the name of a file"},
      {"features of the ring",
       {.rest = "ring_features: [min_wait, none, mn_wait]"},
       "4:33: found \"mn_wait\" for ring_features, expected a list of auto, none, defer_taskrun, "
       "socket_options, fixed_fd_install, min_wait, or a single one; did you mean \"min_wait\"?"},
      {"features of the ring that exclude each other",
       {.rest = "ring_features: [min_wait, none]"},
       "4:27: found \"none\" for ring_features, expected auto alone, none alone, or names of "
       "features"},
      {"TLVs",
       {.backends = "backends: [{name: b, servers: \"unix:/b\", proxy_tlvs: [ssl, sni]}]"},
       "3:60: found \"sni\" for proxy_tlvs, expected a list of alpn, authority, crc32c, unique_id, "
       "ssl, or a single one; did you mean \"ssl\"?"},
      {"the same twice",
       {.backends = "backends: [{name: b, servers: [\"unix:/b\", \"unix:/c\", \"unix:/b\"]}]"},
       "3:54: \"unix:/b\" is in the list twice; remove one"},
  });
}

TEST(LoaderErrors, Addresses) {
  const std::string bind =
      "expected an IP address and a port above 0, such as 0.0.0.0:25 or [::]:25";
  const std::string server =
      "expected an IP address and a port above 0, such as 127.0.0.1:10143 or [::1]:10143, or a "
      "Unix socket, such as unix:/path or unix:@name";
  const std::string range =
      "expected an IP address or a range, such as 192.0.2.0/24 or 2001:db8::/32";
  Expect({
      {"binds",
       {.listeners = Listener("protocol: tcp, tls: implicit, bind: [\"localhost:25\", "
                              "\"127.0.0.1:0\", \"unix:/x\", \"127.0.0.1:2\"]")},
       "2:61: found \"localhost:25\" for bind, " + bind +
           " (no IPv4 address; host names are not resolved)\n"
           "2:77: found \"127.0.0.1:0\" for "
           "bind, " +
           bind +
           "\n"
           "2:92: found \"unix:/x\" for bind, " +
           bind},
      {"servers",
       {.backends = "backends: [{name: b, servers: [\"unix:/b\", \"127.0.0.1\"]}]"},
       "3:43: found \"127.0.0.1\" for servers, " + server +
           " (expected ADDRESS:PORT, [ADDRESS]:PORT, unix:/path or unix:@name)"},
      {"metrics", {.rest = "metrics: {bind: '@x'}"}, "4:17: found \"@x\" for bind, " + bind},
      {"PROXY sources",
       {.listeners = Listener("protocol: tcp, tls: implicit, bind: \"[::1]:9\", proxy_protocol: "
                              "{from: [\"::1\", 10.0.0.1/8, x]}")},
       "2:102: found \"10.0.0.1/8\" for from, " + range +
           " (bits are set after the prefix; the range is 10.0.0.0/8)\n"
           "2:114: found \"x\" for "
           "from, " +
           range + " (not an IP address)"},
      {"denied networks",
       {.rest = "deny: [x, /a, 10.0.0.1/8]"},
       "4:8: found \"x\" for deny, " + range +
           " (not an IP address), or the path of a file that begins with /\n"
           "4:15: found \"10.0.0.1/8\" for deny, " +
           range +
           " (bits are set after the prefix; the range is 10.0.0.0/8), or the path of a file that "
           "begins with /"},
  });
}

TEST(LoaderErrors, WhatIsMissing) {
  Expect({
      {"nearly everything",
       {.tls = "{}", .listeners = "", .backends = ""},
       "1:1: the top level has no backends; add backends: a list of maps\n"
       "1:1: the top level has "
       "no listeners; add listeners: a list of maps"},
      {"certificates",
       {.tls = "tls: {}"},
       "2:13: the listener has no certificates; add certificates to the section tls or to the "
       "listener's tls_options"},
      {"certificates in an empty list",
       {.tls = "tls: {certificates: []}"},
       "1:21: found 0 elements for certificates, expected 1 to 4096"},
      {"listeners in an empty list",
       {.listeners = "listeners: []"},
       "2:12: found 0 elements for listeners, expected 1 to 256"},
      {"a key file",
       {.tls = "tls:\n  certificates:\n    - cert: a.crt",
        .listeners = "backends: []",
        .backends = ""},
       "1:1: the top level has no listeners; add listeners: a list of maps\n"
       "3:7: the certificate "
       "entry has no key; add key: FILE\n"
       "4:11: found 0 elements for backends, expected 1 to 256"},
      {"all of a listener",
       {.listeners = "listeners: [{}]"},
       "2:13: a listener has no backend; add backend: the name of a backend\n"
       "2:13: a listener has "
       "no bind; add bind: a list of IP addresses and ports, or a single one\n"
       "2:13: a listener has no "
       "name; add name: a name\n"
       "2:13: a listener has no protocol; add protocol: one of " +
           Protocols() +
           "\n"
           "2:13: a listener has no tls; add tls: one of implicit, starttls"},
      {"PROXY sources",
       {.listeners =
            Listener("protocol: tcp, bind: \"[::1]:9\", tls: implicit, proxy_protocol: {}")},
       "2:87: a listener's proxy_protocol has no from; add from: a list of IP addresses and "
       "ranges, or a single one"},
  });
}

TEST(LoaderErrors, RulesBetweenOptions) {
  Expect({
      {"a limit for those that have none",
       {.rest = "sources: [{from: 192.0.2.1, role: exempt, sessions: 1}]"},
       "4:53: found a limit for sources that have none, expected no sessions, or role: client or "
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
      {"no such backend",
       {.listeners = "listeners: [{name: in, protocol: smtp, bind: \"127.0.0.1:25\", tls: "
                     "starttls, backend: c, plaintext_backend: bb}]"},
       "2:86: found \"c\" for backend, expected the name of a backend; did you mean \"b\"?\n"
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
       "cross a network in plaintext; give the backend tls, or set allow_plaintext_network: true "
       "if the network itself is safe\n"
       "3:73: \"0.0.0.0:1\" is neither a Unix socket nor on "
       "loopback, so the clients' data would cross a network in plaintext; give the backend tls, "
       "or set allow_plaintext_network: true if the network itself is safe"},
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

TEST(LoaderErrors, ServersOfAllBackends) {
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

TEST(LoaderErrors, TlsOptions) {
  const std::string in = "protocol: imap, bind: \"[::1]:9\", tls: implicit, tls_options: ";
  Expect({
      {"no such suite",
       {.listeners = Listener(in + "{ciphers: [AES128-SHA]}")},
       "2:96: found \"AES128-SHA\" for ciphers, expected a list of TLS_AES_128_GCM_SHA256, "
       "TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, ECDHE-ECDSA-AES128-GCM-SHA256, "
       "ECDHE-RSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384, "
       "ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-CHACHA20-POLY1305, or a single one; did you mean "
       "\"TLS_AES_128_GCM_SHA256\"?"},
      {"an old version",
       {.listeners = Listener(in + "{min_version: TLSv1.1}")},
       "2:99: found \"TLSv1.1\" for min_version, expected one of TLSv1.2, TLSv1.3; did you mean "
       "\"TLSv1.2\"?"},
      {"two forms of a certificate",
       {.tls = "tls: {certificates: [{cert: a, key: b, pem: c}]}"},
       "1:22: the certificate entry mixes several forms; use {cert: FILE, key: FILE}, {pem: FILE} "
       "or {folder: FOLDER}"},
      {"no form of a certificate",
       {.tls = "tls: {certificates: [{}]}"},
       "1:22: the certificate entry names no file or folder; use {cert: FILE, key: FILE}, {pem: "
       "FILE} or {folder: FOLDER}"},
      {"a response without a certificate",
       {.tls = "tls: {certificates: [{ocsp: a}]}"},
       "1:22: the certificate entry has no cert; add cert: FILE"},
      {"client certificates of no authority",
       {.listeners = Listener(in + "{client_certificate: {mode: require}}")},
       "2:106: client_certificate has no ca; add ca: the file or folder of the authorities to "
       "accept"},
      {"a server of no name",
       {.backends = "backends: [{name: b, servers: \"192.0.2.1:993\", tls: {}}]"},
       "3:53: tls has no name; add name: the host name in the servers' certificates (verify: none "
       "would accept anybody as the server)"},
  });
}

TEST(LoaderErrors, AllAtOnceInTheOrderOfTheFile) {
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

TEST(LoaderErrors, Syntax) {
  const std::pair<std::string, std::string> table[] = {
      {"", "1:1: the file is empty; it needs tls, listeners and backends"},
      {"# nothing\n", "1:1: the file is empty; it needs tls, listeners and backends"},
      {"text", "1:1: found \"text\", expected a map with the options of the top level"},
      {"a: [1, 2", "2:1: invalid YAML: end of sequence flow not found"},
      {"a: b: c\n", "1:5: invalid YAML: illegal map value"},
      {"a: *b\n", "1:4: invalid YAML: the referenced anchor is not defined"},
      {"a: b\n---\nc: d\n", "1:1: the file has several YAML documents; only one is allowed"},
      {"user: !!str a\n", "1:7: the tag \"tag:yaml.org,2002:str\" is not allowed; remove it"},
      {"a:\n  b: \x04\n",
       "2:6: the octet 0x04 is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: \xff\n",
       "1:4: the octet 0xff is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: \xc0\x80\n",
       "1:4: the octet 0xc0 is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: \xed\xa0\x80\n",
       "1:4: the octet 0xed is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {std::string("a\0b", 3),
       "1:2: the octet 0x00 is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: &x [*x]\n", "1:8: the alias refers to the list or map that contains it"},
  };
  for (const auto& [text, error] : table) {
    const LoadResult result = Load(text);
    EXPECT_NE(Lines(result.errors).find(error), std::string::npos) << Lines(result.errors);
  }
}

TEST(LoaderErrors, LimitsOfTheFile) {
  const std::string large((1 << 20) + 1, '#');
  EXPECT_EQ(Lines(Load(large).errors),
            "1:1: the file has 1048577 octets; at most 1048576 are allowed");
  const std::string deep = "a: " + std::string(400, '[');
  EXPECT_FALSE(Load(deep).ok());
  const std::string nested = "a: " + std::string(17, '[') + std::string(17, ']');
  EXPECT_EQ(Lines(Load(nested).errors), "1:19: the file has more than 16 levels of nesting");
  std::string wide = "a: [";
  for (int i = 0; i < 110'000; ++i) wide += "a,";
  const LoadResult many = Load(wide + "]");
  EXPECT_NE(Lines(many.errors).find("the file has more than 100000 values"), std::string::npos);
}

TEST(LoaderErrors, ManyListeners) {
  const auto listeners = [](int count) {
    std::string text = "listeners:";
    for (int i = 0; i < count; ++i) {
      text +=
          "\n"
          "  - {name: n" +
          std::to_string(i) + ", protocol: tcp, bind: \"127.0.0.1:" + std::to_string(1000 + i) +
          "\", tls: implicit, backend: b}";
    }
    return Load(TestFile{.listeners = text, .rest = "limits: {refusals: 256}"});
  };
  EXPECT_TRUE(listeners(256).ok());
  EXPECT_EQ(Lines(listeners(257).errors),
            "3:3: found 257 elements for listeners, expected 1 to 256");
}

// If the tree copied aliases, nine levels of nine would make 400 million texts.
TEST(LoaderErrors, AliasesDoNotMultiply) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string n = std::to_string(i), last = "*a" + std::to_string(i - 1);
    text += "a" + n + ": &a" + n + " [" + last;
    for (int j = 1; j < 9; ++j) text += ", " + last;
    text += "]\n";
  }
  text +=
      "listeners: *a9\n"
      "backends: *a9\nring_features: *a9\n";
  EXPECT_FALSE(Load(text).ok());
}

TEST(LoaderErrors, AreNotEndless) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  const LoadResult result = Load(text);
  ASSERT_EQ(result.errors.size(), kMaxConfigErrors);
  EXPECT_NE(Lines(result.errors).find("there are more errors"), std::string::npos);
}

TEST(LoaderErrors, FilesThatCannotBeRead) {
  const LoadResult missing = LoadConfigFile("/does/not/exist.yaml", {});
  EXPECT_EQ(missing.ErrorText(),
            "/does/not/exist.yaml:1:1: error: cannot read the file: No such file or directory\n");
  EXPECT_FALSE(LoadConfigFile("/", {}).ok());
  // Nobody writes to it, so a loader that waited would wait for ever.
  const std::string fifo = testing::TempDir() + "fifo.yaml";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::string said = LoadConfigFile(fifo, {}).ErrorText();
  unlink(fifo.c_str());
  EXPECT_NE(said.find("FIFO"), std::string::npos) << said;
}

// A key where its file's name belongs, or the key's file in place of the configuration.
TEST(LoaderErrors, TellNoSecret) {
  const std::string key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIHLWFcLo3LJiu8m2jUsW5\n";
  for (const std::string& text :
       {key, "user: \"x\\n" + std::string("-----BEGIN PRIVATE KEY-----\\nMHcCAQEEIHLWF\"\n")}) {
    const std::string said = Lines(Load(text).errors);
    EXPECT_NE(said.find("-----BEGIN..."), std::string::npos) << said;
    EXPECT_EQ(said.find("MHc"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace starling
