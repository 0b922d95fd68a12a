// Errors of one option: its key, its type, its value, its absence.
// Not for: options that contradict each other (loader_rules_test.cc), or what is no configuration
// at all (loader_file_errors_test.cc).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gateway/config/loader_errors_testing.h"

namespace starling {
namespace {

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
       "3:43: a server has no address; add address: an IP address and a port, a Unix socket, a "
       "host name and a port, or srv: and a name\n"
       "3:44: \"a\" is not an option of a server; starling --sample prints all options"},
      {"no flag",
       {.rest = "pin_workers: yes"},
       "4:14: found \"yes\" for pin_workers, expected one of auto, true, false"},
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
       "sessions per worker, or auto)"},
      {"a leading zero",
       {.rest = "limits: {sessions: 0777}"},
       "4:20: found \"0777\" for sessions, expected a number (1 to 1000000 sessions per worker, or "
       "auto); "
       "leave out the leading zero"},
      {"a duration with a leading zero",
       {.rest = "limits: {drain: 010s}"},
       "4:17: found \"010s\" for drain, expected a duration with its unit, such as 500ms, 30s, 5m "
       "or 1h (0s to 24h); leave out the leading zero"},
      {"negative",
       {.rest = "limits: {sessions: -1}"},
       "4:20: found \"-1\" for sessions, expected a number (1 to 1000000 sessions per worker, or "
       "auto)"},
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
       "ssl, or a single one"},
      {"the same twice",
       {.backends = "backends: [{name: b, servers: [\"unix:/b\", \"unix:/c\", \"unix:/b\"]}]"},
       "3:54: \"unix:/b\" is in the list twice; remove one"},
      {"an address twice, written differently",
       {.backends = "backends: [{name: b, servers: [\"[::1]:7\", {address: \"[0::1]:7\", weight: "
                    "2}]}]"},
       "3:53: \"[::1]:7\" is in the list twice; remove one"},
  });
}

TEST(LoaderErrors, Addresses) {
  const std::string bind =
      "expected an IP address and a port above 0, such as 0.0.0.0:25 or [::]:25";
  const std::string server =
      "expected an IP address and a port above 0, such as 127.0.0.1:10143 or [::1]:10143, a Unix "
      "socket, such as unix:/path or unix:@name, a host name and a port, such as "
      "imap.example.org:143, or the name of SRV records, such as srv:_imap._tcp.example.org";
  const std::string role = ", or a role of sources: balancer, probe, exempt or trusted";
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
       "3:43: found \"127.0.0.1\" for address, " + server +
           " (expected ADDRESS:PORT, [ADDRESS]:PORT, unix:/path or unix:@name)"},
      {"metrics", {.rest = "metrics: {bind: '@x'}"}, "4:17: found \"@x\" for bind, " + bind},
      {"PROXY sources",
       {.listeners = Listener("protocol: tcp, tls: implicit, bind: \"[::1]:9\", proxy_protocol: "
                              "{from: [\"::1\", 10.0.0.1/8, x]}")},
       "2:102: found \"10.0.0.1/8\" for from, " + range +
           " (bits are set after the prefix; the range is 10.0.0.0/8)" + role +
           "\n2:114: found \"x\" for "
           "from, " +
           range + " (not an IP address)" + role},
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
       "ranges, and roles of sources, or a single one"},
  });
}

TEST(LoaderErrors, TlsOptions) {
  const std::string in = "protocol: imap, bind: \"[::1]:9\", tls: implicit, tls_options: ";
  Expect({
      {"no such suite",
       {.listeners = Listener(in + "{ciphers: [AES128-SHA]}")},
       "2:96: found \"AES128-SHA\" for ciphers, expected a list of TLS_AES_128_GCM_SHA256, "
       "TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, ECDHE-ECDSA-AES128-GCM-SHA256, "
       "ECDHE-RSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384, "
       "ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-CHACHA20-POLY1305, or a single one"},
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

}  // namespace
}  // namespace starling
