// What the loader makes of a valid file: values, defaults, and what a listener inherits.
#include "gateway/config/loader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "gateway/config/loader_testing.h"
#include "protocols/registry.h"

namespace starling {
namespace {

Config Loaded(const TestFile& file) {
  const LoadResult result = Load(file);
  EXPECT_TRUE(result.ok()) << result.ErrorText();
  return result.config;
}

TEST(Loader, Defaults) {
  const Config config = Loaded({});
  EXPECT_EQ(config.file, "f");
  EXPECT_EQ(config.hostname, "host.example");
  EXPECT_EQ(config.workers, 3u);
  EXPECT_EQ(config.workers_from, "a test");
  EXPECT_EQ(config.limits.sessions, 1'000u);
  EXPECT_EQ(config.sessions_from, "a test");
  EXPECT_EQ(config.pin_workers, Pinning::kAuto);
  EXPECT_EQ(config.user, "");
  EXPECT_EQ(config.group, "");
  EXPECT_EQ(config.ring_features, "auto");
  EXPECT_EQ(config.metrics_bind.length(), 0u);
  EXPECT_EQ(config.log_format, LogFormat::kLogfmt);
  ASSERT_EQ(config.tls.certificates.size(), 1u);
  EXPECT_EQ(config.tls.certificates[0].cert, "a.crt");
  EXPECT_EQ(config.tls.certificates[0].key, "a.key");

  ASSERT_EQ(config.listeners.size(), 1u);
  const ListenerConfig& listener = config.listeners[0];
  EXPECT_EQ(listener.name, "in");
  EXPECT_EQ(listener.protocol, FindProtocol("smtp"));
  ASSERT_EQ(listener.bind.size(), 1u);
  EXPECT_EQ(listener.bind[0].ToString(), "127.0.0.1:2525");
  EXPECT_EQ(listener.tls, TlsMode::kStartTls);
  EXPECT_EQ(listener.backend, 0u);
  EXPECT_EQ(listener.plaintext_backend, -1);
  EXPECT_FALSE(listener.proxy_in.given());
  EXPECT_EQ(listener.dialogue.hostname, "host.example");
  EXPECT_EQ(listener.dialogue.policy, Policy::kRequire);
  EXPECT_FALSE(listener.dialogue.plaintext_auth);
  EXPECT_FALSE(listener.dialogue.accept_bare_lf);
  EXPECT_EQ(listener.dialogue.max_line, ListenerLimits{}.max_line);
  EXPECT_EQ(listener.dialogue.max_commands, ListenerLimits{}.max_commands);
  EXPECT_EQ(listener.limits.handshake_ms, ListenerLimits{}.handshake_ms);

  ASSERT_EQ(config.backends.size(), 1u);
  const BackendConfig& backend = config.backends[0];
  EXPECT_EQ(backend.name, "b");
  ASSERT_EQ(backend.servers.size(), 1u);
  EXPECT_EQ(backend.servers[0].address.ToString(), "unix:/b");
  EXPECT_TRUE(backend.plaintext_networks.empty());
  EXPECT_TRUE(backend.tlvs.alpn && backend.tlvs.authority && backend.tlvs.crc32c &&
              backend.tlvs.unique_id && backend.tlvs.ssl);
}

TEST(Loader, General) {
  const Config config = Loaded({.rest = "hostname: mail.example.org\n"
                                        "workers: 7\n"
                                        "pin_workers: false\n"
                                        "user: starling\n"
                                        "group: postdrop\n"
                                        "ring_features: [min_wait, defer_taskrun]\n"
                                        "metrics: {bind: \"127.0.0.1:9464\"}\n"
                                        "log: {format: json}\n"});
  EXPECT_EQ(config.hostname, "mail.example.org");
  EXPECT_EQ(config.workers, 7u);
  EXPECT_EQ(config.workers_from, "");
  EXPECT_EQ(config.pin_workers, Pinning::kOff);
  EXPECT_EQ(config.user, "starling");
  EXPECT_EQ(config.group, "postdrop");
  EXPECT_EQ(config.ring_features, "min_wait,defer_taskrun");
  EXPECT_EQ(config.metrics_bind.ToString(), "127.0.0.1:9464");
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.listeners[0].dialogue.hostname, "mail.example.org");
  EXPECT_EQ(Loaded({.rest = "workers: auto"}).workers, 3u);
  EXPECT_EQ(Loaded({.rest = "ring_features: none"}).ring_features, "none");
}

TEST(Loader, TlsOptionsOverrideTheGeneralOnesOneByOne) {
  const Config config = Loaded(
      {.tls = "tls: {certificates: [{cert: a.crt, key: a.key}, {folder: f}], groups: [P-256], "
              "sni: strict}",
       .listeners =
           "listeners:\n"
           "  - {name: a, protocol: imap, bind: \"127.0.0.1:1\", tls: implicit, backend: b}\n"
           "  - {name: c, protocol: imap, bind: \"127.0.0.1:2\", tls: implicit, backend: b,\n"
           "     tls_options: {preset: modern, certificates: [{pem: p}], sni: lenient,\n"
           "       client_certificate: {mode: optional, ca: ca.pem}}}\n"
           "  - {name: d, protocol: imap, bind: \"127.0.0.1:3\", tls: implicit, backend: b,\n"
           "     tls_options: {preset: modern, min_version: TLSv1.2}}"});
  EXPECT_EQ(config.listeners[0].tls_options, config.tls);
  EXPECT_EQ(config.tls.min_version, MinVersion::kTls12);
  const TlsOptions& c = config.listeners[1].tls_options;
  EXPECT_EQ(c.min_version, MinVersion::kTls13);
  EXPECT_EQ(c.groups, std::vector<std::string>{"P-256"});
  EXPECT_FALSE(c.sni_strict);
  ASSERT_EQ(c.certificates.size(), 1u);
  EXPECT_EQ(c.certificates[0].pem, "p");
  EXPECT_EQ(c.client_certificate.mode, ClientCertificateMode::kOptional);
  EXPECT_EQ(c.client_certificate.ca, "ca.pem");
  EXPECT_EQ(config.listeners[2].tls_options.min_version, MinVersion::kTls12);
  EXPECT_EQ(config.listeners[2].tls_options.certificates.size(), 2u);
}

TEST(Loader, ListenersMayHaveAllCertificatesOfTheirOwn) {
  const Config config = Loaded(
      {.tls = "",
       .listeners = "listeners: [{name: a, protocol: imap, bind: \"127.0.0.1:1\", tls: implicit, "
                    "backend: b, tls_options: {certificates: [{pem: p}]}}]"});
  EXPECT_TRUE(config.tls.certificates.empty());
}

TEST(Loader, ABackendOnANetworkMayHaveTls) {
  const Config config = Loaded({.backends = "backends: [{name: b, servers: \"192.0.2.1:993\", "
                                            "proxy_protocol: v2, tls: {name: n.example}}]"});
  EXPECT_TRUE(config.backends[0].tls.enabled);
  EXPECT_TRUE(config.backends[0].tls.verify);
  EXPECT_EQ(config.backends[0].tls.name, "n.example");
}

TEST(Loader, EmptySectionsAreLikeNone) {
  EXPECT_EQ(Loaded({.rest = "limits:\nlog: {}\nmetrics:"}).limits.sessions,
            GlobalLimits{}.sessions);
}

TEST(Loader, ListenersShareAnEighthOfTheSessionsAsTheirOwn) {
  const auto reserved = [](const std::string& limits) {
    std::vector<uint32_t> all;
    const Config config = Loaded(
        {.listeners = "listeners:\n"
                      "  - {name: a, protocol: tcp, bind: \"[::]:9\", tls: implicit, backend: b}\n"
                      "  - {name: c, protocol: tcp, bind: \"[::]:8\", tls: implicit, backend: b,\n"
                      "     limits: {reserved_sessions: 30}}\n"
                      "  - {name: d, protocol: tcp, bind: \"[::]:7\", tls: implicit, backend: b,\n"
                      "     limits: {most_sessions: 4}}",
         .rest = limits});
    for (const ListenerConfig& listener : config.listeners) {
      all.push_back(listener.limits.reserved_sessions);
    }
    return all;
  };
  EXPECT_EQ(reserved(""), (std::vector<uint32_t>{41, 30, 4}));
  EXPECT_EQ(reserved("limits: {sessions: 60}"), (std::vector<uint32_t>{2, 30, 2}));
  EXPECT_EQ(reserved("limits: {reserved_sessions: 3}"), (std::vector<uint32_t>{3, 30, 3}));
}

TEST(Loader, AListenerMayHaveItsOwn) {
  const Config config = Loaded(
      {.listeners =
           "listeners:\n"
           "  - {name: a, protocol: smtp, bind: [\"127.0.0.1:1\", \"[::1]:1\"], tls: starttls,\n"
           "     policy: opportunistic, backend: b, plaintext_backend: p, hostname: a.example,\n"
           "     plaintext_auth: allow, accept_bare_lf: true,\n"
           "     limits: {handshake: 3s, max_line: 1KiB, max_commands: 9},\n"
           "     proxy_protocol: {from: [192.0.2.0/24, \"::1\"]}}\n"
           "  - {name: c, protocol: imap, bind: \"127.0.0.1:2\", tls: implicit, backend: p}",
       .backends = "backends: [{name: b, servers: \"unix:/b\", proxy_protocol: v2},\n"
                   "           {name: p, servers: \"127.0.0.1:3\", proxy_protocol: v1}]",
       .rest = "hostname: general.example\nlimits: {handshake: 7s, connect: 250ms}"});
  const ListenerConfig& a = config.listeners[0];
  EXPECT_EQ(a.bind.size(), 2u);
  EXPECT_EQ(a.dialogue.policy, Policy::kOpportunistic);
  EXPECT_EQ(a.backend, 0u);
  EXPECT_EQ(a.plaintext_backend, 1);
  EXPECT_EQ(a.dialogue.hostname, "a.example");
  EXPECT_TRUE(a.dialogue.plaintext_auth);
  EXPECT_TRUE(a.dialogue.accept_bare_lf);
  EXPECT_EQ(a.limits.handshake_ms, 3'000u);
  EXPECT_EQ(a.limits.connect_ms, 250u);
  EXPECT_EQ(a.limits.max_line, 1'024u);
  EXPECT_EQ(a.dialogue.max_line, 1'024u);
  EXPECT_EQ(a.dialogue.max_commands, 9u);
  ASSERT_EQ(a.proxy_in.from.size(), 2u);
  EXPECT_EQ(a.proxy_in.from[0].ToString(), "192.0.2.0/24");
  EXPECT_EQ(a.proxy_in.from[1].ToString(), "::1/128");

  const ListenerConfig& c = config.listeners[1];
  EXPECT_EQ(c.protocol, FindProtocol("imap"));
  EXPECT_EQ(c.tls, TlsMode::kImplicit);
  EXPECT_EQ(c.backend, 1u);
  EXPECT_EQ(c.dialogue.hostname, "general.example");
  EXPECT_EQ(c.limits.handshake_ms, 7'000u);
  EXPECT_EQ(config.backends[0].proxy, ProxyOut::kV2);
  EXPECT_EQ(config.backends[1].proxy, ProxyOut::kV1);
}

// Listeners may come before the sections that they refer to.
TEST(Loader, TheOrderOfSectionsDoesNotMatter) {
  const LoadResult result = Load(
      "listeners: [{name: a, protocol: tcp, bind: \"127.0.0.1:1\", tls: implicit, backend: z}]\n"
      "hostname: late.example\n"
      "limits: {handshake: 4s}\n"
      "backends: [{name: y, servers: \"unix:/y\"}, {name: z, servers: \"unix:/z\"}]\n"
      "tls: {certificates: [{key: k, cert: c}]}\n");
  ASSERT_TRUE(result.ok()) << result.ErrorText();
  EXPECT_EQ(result.config.listeners[0].backend, 1u);
  EXPECT_EQ(result.config.listeners[0].dialogue.hostname, "late.example");
  EXPECT_EQ(result.config.listeners[0].limits.handshake_ms, 4'000u);
}

struct PolicyRow {
  std::string options;
  Policy policy;
};

// RFC 3207 section 4: a public MX must not require TLS.
TEST(Loader, PolicyIsOpportunisticOnlyForSmtpOnPort25) {
  const PolicyRow table[] = {
      {"protocol: smtp, bind: \"127.0.0.1:25\", tls: starttls", Policy::kOpportunistic},
      {"protocol: smtp, bind: [\"127.0.0.1:26\", \"[::1]:25\"], tls: starttls",
       Policy::kOpportunistic},
      {"protocol: smtp, bind: \"127.0.0.1:587\", tls: starttls", Policy::kRequire},
      {"protocol: smtp, bind: \"127.0.0.1:25\", tls: implicit", Policy::kRequire},
      {"protocol: smtp, bind: \"127.0.0.1:25\", tls: starttls, policy: require", Policy::kRequire},
      {"protocol: smtp, bind: \"127.0.0.1:26\", tls: starttls, policy: opportunistic",
       Policy::kOpportunistic},
      {"protocol: lmtp, bind: \"127.0.0.1:25\", tls: starttls", Policy::kRequire},
      {"protocol: imap, bind: \"127.0.0.1:25\", tls: starttls", Policy::kRequire},
  };
  for (const PolicyRow& row : table) {
    const Config config =
        Loaded({.listeners = "listeners: [{name: a, backend: b, " + row.options + "}]"});
    EXPECT_EQ(config.listeners[0].dialogue.policy, row.policy) << row.options;
  }
}

TEST(Loader, IdleIsByProtocolUnlessItIsSet) {
  const auto idle = [](const std::string& options, const std::string& rest) {
    return Loaded({.listeners = "listeners: [{name: a, backend: b, bind: \"127.0.0.1:1\", tls: "
                                "implicit, " +
                                options + "}]",
                   .rest = rest})
        .listeners[0]
        .limits.idle_ms;
  };
  for (const ProtocolRow& row : AllProtocols()) {
    const std::string protocol = "protocol: " + std::string(row.name);
    EXPECT_EQ(idle(protocol, ""), row.idle_seconds * 1'000) << row.name;
    EXPECT_EQ(idle(protocol, "limits: {idle: 2h}"), 7'200'000u) << row.name;
    EXPECT_EQ(idle(protocol + ", limits: {idle: 3s}", "limits: {idle: 2h}"), 3'000u) << row.name;
    EXPECT_EQ(idle(protocol + ", limits: {idle: 0s}", ""), 0u) << row.name;
  }
}

TEST(Loader, TimesBeforeTheRelayAreByProtocolUnlessTheyAreSet) {
  const auto times = [](std::string_view protocol, const std::string& own,
                        const std::string& general) {
    const Config config = Loaded(
        {.listeners = "listeners: [{name: a, backend: b, bind: \"127.0.0.1:1\", tls: implicit, "
                      "protocol: " +
                      std::string(protocol) + own + "}]",
         .rest = general});
    const ListenerLimits& limits = config.listeners[0].limits;
    return std::to_string(limits.pre_relay_ms / 1'000) + " " +
           std::to_string(limits.pre_relay_silence_ms / 1'000) + " " +
           std::to_string(limits.pre_relay_total_ms / 1'000);
  };
  for (const ProtocolRow& row : AllProtocols()) {
    const bool mail = row.name == "smtp" || row.name == "lmtp";
    EXPECT_EQ(times(row.name, "", ""), mail ? "60 300 600" : "60 60 300") << row.name;
    EXPECT_EQ(times(row.name, "", "limits: {pre_relay_silence: 2s, pre_relay_total: 70s}"),
              "60 2 70");
    EXPECT_EQ(
        times(row.name, ", limits: {pre_relay_silence: 3s}", "limits: {pre_relay_silence: 2s}"),
        mail ? "60 3 600" : "60 3 300");
    // A longer pre_relay also lengthens the time of clients that give commands.
    EXPECT_EQ(times(row.name, ", limits: {pre_relay: 20m}", ""),
              mail ? "1200 300 1200" : "1200 60 1200");
  }
}

TEST(Loader, ProxyTlvsAreThoseNamed) {
  const auto tlvs = [](const std::string& list) {
    return Loaded({.backends = "backends: [{name: b, servers: \"unix:/b\", proxy_protocol: v2, "
                               "proxy_tlvs: " +
                               list + "}]"})
        .backends[0]
        .tlvs;
  };
  const ProxyTlvs some = tlvs("[ssl, crc32c]");
  EXPECT_TRUE(some.ssl && some.crc32c);
  EXPECT_FALSE(some.alpn || some.authority || some.unique_id);
  const ProxyTlvs none = tlvs("[]");
  EXPECT_FALSE(none.ssl || none.crc32c || none.alpn || none.authority || none.unique_id);
  EXPECT_TRUE(tlvs("authority").authority);
}

TEST(Loader, AnchorsAndAliasesShare) {
  const Config config =
      Loaded({.tls = "tls: {certificates: [{cert: &name a.pem, key: *name}]}",
              .backends = "backends: [{name: b, servers: &s [\"unix:/b\"], proxy_protocol: v2}, "
                          "{name: c, servers: *s}]"});
  EXPECT_EQ(config.tls.certificates[0].key, "a.pem");
  EXPECT_EQ(config.backends[1].servers[0].address.ToString(), "unix:/b");
}

TEST(Loader, NetworkBackendsNeedLeave) {
  const TestFile file = {.backends =
                             "backends: [{name: b, servers: \"192.0.2.1:25\", "
                             "allow_plaintext_network: true}]"};
  EXPECT_EQ(Loaded(file).backends[0].servers[0].address.ToString(), "192.0.2.1:25");
  const auto of = [](const std::string& networks) {
    return Load(TestFile{.backends = "backends: [{name: b, servers: \"192.0.2.1:25\", "
                                     "allow_plaintext_network: " +
                                     networks + "}]"});
  };
  EXPECT_TRUE(of("192.0.2.0/24").ok());
  EXPECT_TRUE(of("[10.0.0.0/8, 192.0.2.1]").ok());
  EXPECT_FALSE(of("[10.0.0.0/8, \"::/0\"]").ok());
  EXPECT_FALSE(of("false").ok());
}

TEST(Loader, ServersByName) {
  struct Case {
    std::string text, host;
    uint16_t port = 0;
    bool srv = false;
    std::string tls_name;
  };
  const Case cases[] = {
      {"imap.example.org:143", "imap.example.org", 143, false, "imap.example.org"},
      {"postfix:25", "postfix", 25, false, "postfix"},
      {"mail.svc.cluster.local.:25", "mail.svc.cluster.local.", 25, false,
       "mail.svc.cluster.local"},
      {"srv:_imap._tcp.example.org", "_imap._tcp.example.org", 0, true, "example.org"},
      {"srv:_imap._tcp.dovecot", "_imap._tcp.dovecot", 0, true, "dovecot"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const Config config = Loaded(
        {.backends = "backends: [{name: b, servers: [{address: \"" + c.text + "\", weight: 3}]}]"});
    const ServerConfig& server = config.backends[0].servers[0];
    EXPECT_EQ(server.by_name, (ServerName{c.host, c.port, c.srv}));
    EXPECT_EQ(server.by_name.TlsName(), c.tls_name);
    EXPECT_EQ(server.ToString(), c.text);
    EXPECT_EQ(server.weight, 3u);
    EXPECT_TRUE(HasNames(config.backends[0]));
  }
  for (const char* const bad :
       {"imap.example.org", "imap.example.org:0", "imap.example.org:65536", "192.0.2.300:25",
        "1.2.3.4.5:25", "a..b:25", ".:25", "-a:25", "a b:25", "srv:", "srv:imap.example.org",
        "srv:_imap._tcp..org", "srv:_imap._tcp.example.org:143", "[::1]:0"}) {
    const TestFile file = {.backends =
                               "backends: [{name: b, servers: [\"" + std::string(bad) + "\"]}]"};
    EXPECT_FALSE(Load(file).ok()) << bad;
  }
}

TEST(Loader, DnsServers) {
  const auto of = [](const std::string& servers) {
    return Load(TestFile{.rest = "resolve: {servers: " + servers + "}"});
  };
  const LoadResult good = of("[192.0.2.53, \"::1\", \"127.0.0.1:5353\"]");
  ASSERT_TRUE(good.ok()) << good.ErrorText();
  std::string text;
  for (const SocketAddress& server : good.config.resolve.servers) text += server.ToString() + " ";
  EXPECT_EQ(text, "192.0.2.53:53 [::1]:53 127.0.0.1:5353 ");
  for (const char* const bad : {"dns.example", "192.0.2.0/24", "127.0.0.1:0", "\"unix:/a\""}) {
    EXPECT_FALSE(of(bad).ok()) << bad;
  }
}

TEST(Loader, ReadsFiles) {
  const std::string file = ::testing::TempDir() + "/loader_test.yaml";
  std::ofstream(file) << TestFile{}.Text();
  const LoadResult result = LoadConfigFile(file, LoadEnvironment::OfSystem());
  EXPECT_TRUE(result.ok()) << result.ErrorText();
  EXPECT_EQ(result.config.file, file);
  EXPECT_GE(result.config.workers, 1u);
  EXPECT_FALSE(result.config.hostname.empty());
}

}  // namespace
}  // namespace starling
