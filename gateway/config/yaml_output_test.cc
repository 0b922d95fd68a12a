// The output of -T, the sample file, and the option table behind both.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "gateway/config/loader_testing.h"
#include "gateway/config/options.h"
#include "gateway/config/source_defaults.h"
#include "protocols/irc/irc_options.h"
#include "protocols/registry.h"

namespace starling {
namespace {

constexpr char kSampleFile[] = "deploy/starling.sample.yaml";

// Every option differs from its default, if it can.
constexpr char kEverything[] = R"(
hostname: mail.example.org
workers: 5
pin_workers: false
user: starling
group: postdrop
ring_features: [min_wait, socket_options]
tls:
  certificates: [{cert: "/etc/a \"b\"\\c.crt", key: /etc/ü.key, ocsp: o}, {pem: c}, {folder: d}]
  preset: modern
  min_version: TLSv1.2
  ciphers: [ECDHE-RSA-AES128-GCM-SHA256, TLS_AES_256_GCM_SHA384]
  groups: [X25519, P-256]
  signature_algorithms: [ed25519]
  sni: strict
  alpn: strict
  ticket_keys: /etc/keys
  client_certificate: {mode: require, ca: /etc/ca, crl: /etc/crl, depth: 2}
limits: {pre_relay: 90s, pre_relay_silence: 91s, pre_relay_total: 92s, patience: 33s, crowded: 34, proxy_header: 1s, handshake: 2s, connect: 3s, connect_try: 1s, greeting: 4s, greeting_try: 2s, record: 5s,
  idle: 6s, half_close: 8s, linger: 700ms, linger_bytes: 8, max_line: 900, max_commands: 10, sessions: 36,
  reserved_sessions: 2, most_sessions: 9, new_sources: 35,
  refusals: 12, handshakes_in_flight: 13, handshake_queue: 14, key_operations_per_turn: 15,
  output_buffers: 16, bulk_buffers: 17, small_buffers: 16, large_buffers: 64, armed_accepts: 19, backlog: 20, data_listeners: 31,
  keepalive: 21s, log_records: 128, drain_delay: 23s, drain: 24s, probe_interval: 25s,
  probe_retry: 26s, probe_retry_max: 28s, probe_timeout: 27s,
  certificates: 30, ticket_key_period: 60s, file_check: 100ms, source_ipv4_bits: 24,
  source_ipv6_bits: 56, pregreet_memory: 48h,
  unsent: 41KiB, send_buffer: 42KiB, receive_buffer: 43KiB, slow_reader: 44s, slow_reader_bytes: 45,
  server_unsent: 46KiB, server_send_buffer: 47KiB, server_receive_buffer: 48KiB,
  queued_bytes: 49MiB, memory_relief: 50, memory_refusal: 51}
sources:
  - {from: 192.0.2.0/24, sessions: 1, connections_per_second: 2, connections_burst: 3,
     handshakes_per_second: 4, handshakes_burst: 5, failures_per_minute: 6}
  - {from: [192.0.3.0/24, "2001:db8::/32"], role: trusted, sessions: 0}
  - {from: 192.0.4.1, role: exempt}
deny: [192.0.2.66, "2001:db8:bad::/48", /etc/deny]
deny_established: end
listeners:
  - name: mx
    protocol: smtp
    bind: ["0.0.0.0:2525", "[::]:2525"]
    tls: starttls
    policy: opportunistic
    backend: b
    plaintext_backend: p
    hostname: "[192.0.2.1]"
    plaintext_auth: allow
    accept_bare_lf: true
    greeting_delay: 6s
    pregreet: refuse
    smtp: {cbc_ciphers: true}
    proxy_protocol: {from: [192.0.2.0/24, balancer, "2001:db8::/32"], others: direct}
    limits: {handshake: 28s, idle: 0s}
    sources: [{from: 192.0.2.0/25, role: balancer}]
    deny: [/etc/deny-mx]
  - {name: imaps, protocol: imap, bind: "127.0.0.1:993", tls: implicit, backend: b,
     tls_options: {preset: intermediate, certificates: [{pem: e}], sni: lenient,
       client_certificate: {mode: optional}}}
  - {name: web, protocol: http, bind: "127.0.0.1:80", tls: starttls, backend: b,
     http: {hosts: [a.example, b.example]}}
  - {name: ftp, protocol: ftp, bind: "127.0.0.1:21", tls: starttls, backend: p,
     ftp: {data_ports: 40000-40009, address: 203.0.113.7, require_resumption: true,
           data_close: lenient}}
  - {name: xmpp, protocol: xmpp-client, bind: "127.0.0.1:5222", tls: starttls, backend: b,
     xmpp: {domains: [example.org, example.net]}}
  - {name: chat, protocol: irc, bind: "127.0.0.1:6667", tls: starttls, backend: b,
     irc: {sts_port: 6697, webirc_password_file: i}}
backends:
  - {name: b, servers: ["unix:/b", {address: "unix:@b", weight: 7, priority: 1, state: drain,
     max_sessions: 9}, "[::1]:143"], proxy_protocol: v2, proxy_tlvs: [alpn],
     balance: least_sessions, slow_start: 3s, queue: 11, source: ["::1", 127.0.0.2]}
  - {name: p, servers: "192.0.2.7:25", proxy_protocol: v1, proxy_tlvs: [],
     allow_plaintext_network: [192.0.2.0/24, "2001:db8::/32"]}
  - {name: n, servers: ["mx.example:25", {address: "srv:_imap._tcp.example", weight: 3}]}
  - {name: t, servers: "192.0.2.7:993", tls: {verify: none, ca: f, name: n.example,
     client_certificate: {cert: g, key: h}}}
resolve: {min: 2s, max: 1m, hold: 0s, timeout: 3s, servers: ["192.0.2.53", "[::1]:5353"],
  resolv_conf: /r}
metrics: {bind: "127.0.0.1:9464"}
log: {format: json, sessions: ended, refusals: 7}
)";

Config Loaded(const std::string& text) {
  const LoadResult result = Load(text);
  EXPECT_TRUE(result.ok()) << result.ErrorText();
  return result.config;
}

// The protocol's section that the option is, or belongs to. kTop: neither.
Section OwnSection(const Option& option) {
  if (!ProtocolOf(option.section).empty()) return option.section;
  return ProtocolOf(option.child).empty() ? Section::kTop : option.child;
}

bool HasProtocol(Section section) {
  return std::ranges::any_of(
      AllProtocols(), [&](const ProtocolRow& row) { return IsSectionOf(section, row.name); });
}

void ExpectEqual(const ListenerConfig& a, const ListenerConfig& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.protocol, b.protocol);
  ASSERT_EQ(a.bind.size(), b.bind.size());
  for (size_t i = 0; i < a.bind.size(); ++i) {
    EXPECT_EQ(a.bind[i].ToString(), b.bind[i].ToString());
  }
  EXPECT_EQ(a.tls, b.tls);
  EXPECT_EQ(a.backend, b.backend);
  EXPECT_EQ(a.plaintext_backend, b.plaintext_backend);
  EXPECT_EQ(a.dialogue.hostname, b.dialogue.hostname);
  EXPECT_EQ(a.dialogue.policy, b.dialogue.policy);
  EXPECT_EQ(a.dialogue.plaintext_auth, b.dialogue.plaintext_auth);
  EXPECT_EQ(a.dialogue.accept_bare_lf, b.dialogue.accept_bare_lf);
  EXPECT_EQ(a.dialogue.max_line, b.dialogue.max_line);
  EXPECT_EQ(a.dialogue.max_commands, b.dialogue.max_commands);
  EXPECT_EQ(a.dialogue.served_names, b.dialogue.served_names);
  EXPECT_EQ(IrcOptionsOf(a.dialogue).sts_port, IrcOptionsOf(b.dialogue).sts_port);
  EXPECT_EQ(a.webirc_password_file, b.webirc_password_file);
  EXPECT_EQ(a.limits, b.limits);
  EXPECT_EQ(a.proxy_in, b.proxy_in);
  EXPECT_EQ(a.sources, b.sources);
  EXPECT_EQ(a.deny, b.deny);
  EXPECT_EQ(a.ftp, b.ftp);
  EXPECT_EQ(a.tls_options, b.tls_options);
}

void ExpectEqual(const Config& a, const Config& b) {
  EXPECT_EQ(a.hostname, b.hostname);
  EXPECT_EQ(a.workers, b.workers);
  EXPECT_EQ(a.pin_workers, b.pin_workers);
  EXPECT_EQ(a.user, b.user);
  EXPECT_EQ(a.group, b.group);
  EXPECT_EQ(a.tls, b.tls);
  ASSERT_EQ(a.listeners.size(), b.listeners.size());
  for (size_t i = 0; i < a.listeners.size(); ++i) ExpectEqual(a.listeners[i], b.listeners[i]);
  ASSERT_EQ(a.backends.size(), b.backends.size());
  for (size_t i = 0; i < a.backends.size(); ++i) {
    EXPECT_EQ(a.backends[i].name, b.backends[i].name);
    ASSERT_EQ(a.backends[i].servers.size(), b.backends[i].servers.size());
    for (size_t j = 0; j < a.backends[i].servers.size(); ++j) {
      EXPECT_EQ(a.backends[i].servers[j], b.backends[i].servers[j]);
    }
    EXPECT_EQ(a.backends[i].balance, b.backends[i].balance);
    EXPECT_EQ(a.backends[i].slow_start_ms, b.backends[i].slow_start_ms);
    EXPECT_EQ(a.backends[i].queue, b.backends[i].queue);
    EXPECT_EQ(a.backends[i].sources, b.backends[i].sources);
    EXPECT_EQ(a.backends[i].proxy, b.backends[i].proxy);
    EXPECT_EQ(a.backends[i].tlvs.alpn, b.backends[i].tlvs.alpn);
    EXPECT_EQ(a.backends[i].tlvs.authority, b.backends[i].tlvs.authority);
    EXPECT_EQ(a.backends[i].tlvs.crc32c, b.backends[i].tlvs.crc32c);
    EXPECT_EQ(a.backends[i].tlvs.unique_id, b.backends[i].tlvs.unique_id);
    EXPECT_EQ(a.backends[i].tlvs.ssl, b.backends[i].tlvs.ssl);
    EXPECT_EQ(a.backends[i].plaintext_networks, b.backends[i].plaintext_networks);
    EXPECT_EQ(a.backends[i].tls, b.backends[i].tls);
  }
  EXPECT_EQ(a.resolve, b.resolve);
  EXPECT_EQ(a.metrics_bind.ToString(), b.metrics_bind.ToString());
  EXPECT_EQ(a.log_format, b.log_format);
  EXPECT_EQ(a.log_sessions, b.log_sessions);
  EXPECT_EQ(a.log_refusals, b.log_refusals);
  EXPECT_EQ(a.ring_features, b.ring_features);
  EXPECT_EQ(a.sources, b.sources);
  EXPECT_EQ(a.deny, b.deny);
  EXPECT_EQ(a.deny_established, b.deny_established);
  EXPECT_EQ(a.limits, b.limits);
}

TEST(EffectiveYaml, LoadsToTheSame) {
  for (const std::string& text : {std::string(kEverything), TestFile{}.Text(), SampleYaml()}) {
    const Config config = Loaded(text);
    const std::string printed = EffectiveYaml(config);
    // Also on another machine: the output contains the name that came from this one.
    const LoadResult again = LoadConfig(printed, "g", {.hostname = "other.example", .cpus = 3});
    ASSERT_TRUE(again.ok()) << again.ErrorText() << printed;
    ExpectEqual(config, again.config);
    EXPECT_EQ(EffectiveYaml(again.config), printed);
  }
}

// Who uses the output as a file, wants the gateway to go on adapting itself to the machine.
TEST(EffectiveYaml, KeepsTheWordAuto) {
  const std::string printed = EffectiveYaml(Loaded(TestFile{}.Text()));
  EXPECT_NE(printed.find("\nworkers: auto\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("\npin_workers: auto\n"), std::string::npos) << printed;
  EXPECT_NE(EffectiveYaml(Loaded(kEverything)).find("\nworkers: 5\n"), std::string::npos);
}

TEST(EffectiveYaml, ShowsEveryOption) {
  const std::string printed = EffectiveYaml(Loaded(kEverything));
  for (const Option& option : AllOptions()) {
    if (!HasProtocol(OwnSection(option))) continue;
    EXPECT_NE(printed.find(std::string(option.key) + ":"), std::string::npos) << option.key;
  }
}

// Each value of kEverything arrives in the field of its own row.
TEST(OptionTable, RowsReachTheirFields) {
  const Config config = Loaded(kEverything);
  EXPECT_EQ(config.limits,
            (GlobalLimits{36,  34,       35,       12,       13,     14,     15,     16,       17,
                          16,  64,       19,       31,       20,     21,     128,    30,       60,
                          100, 23'000,   24'000,   25'000,   26'000, 28'000, 27'000, 49 << 20, 50,
                          51,  46 << 10, 47 << 10, 48 << 10, 24,     56,     172'800}));
  ASSERT_EQ(config.sources.size(), 3u);
  EXPECT_EQ(config.sources[0].limits, (SourceLimits{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(config.sources[0].role, SourceRole::kClient);
  EXPECT_EQ(config.sources[1].from.size(), 2u);
  EXPECT_EQ(config.sources[1].limits, kNoSourceLimits);
  EXPECT_EQ(config.deny.networks.size(), 2u);
  EXPECT_EQ(config.deny.files, std::vector<std::string>{"/etc/deny"});
  EXPECT_EQ(config.deny_established, DenyEstablished::kEnd);
  EXPECT_EQ(config.listeners[0].sources[0].role, SourceRole::kBalancer);
  EXPECT_EQ(config.listeners[0].deny.files, std::vector<std::string>{"/etc/deny-mx"});
  EXPECT_EQ(config.listeners[1].limits,
            (ListenerLimits{90'000, 91'000, 92'000, 33'000,   1'000,    2'000,    3'000,  1'000,
                            4'000,  2'000,  5'000,  6'000,    8'000,    700,      8,      900,
                            10,     2,      9,      41 << 10, 42 << 10, 43 << 10, 44'000, 45}));
  const BackendConfig& backend = config.backends[0];
  EXPECT_EQ(backend.balance, Balance::kLeastSessions);
  EXPECT_EQ(backend.slow_start_ms, 3'000u);
  EXPECT_EQ(backend.queue, 11u);
  EXPECT_EQ(backend.sources.size(), 2u);
  EXPECT_EQ(backend.servers[0], ServerConfig(backend.servers[0].address));
  EXPECT_EQ(backend.servers[1].weight, 7u);
  EXPECT_EQ(backend.servers[1].priority, 1u);
  EXPECT_TRUE(backend.servers[1].drains);
  EXPECT_EQ(backend.servers[1].max_sessions, 9u);
}

TEST(OptionTable, EveryRowIsWhole) {
  std::set<std::pair<Section, std::string_view>> keys;
  for (const Option& option : AllOptions()) {
    EXPECT_TRUE(keys.emplace(option.section, option.key).second) << option.key;
    EXPECT_TRUE(option.doc.ends_with('.')) << option.key;
    EXPECT_LE(option.min, option.max) << option.key;
    const bool section =
        option.type == OptionType::kSection || option.type == OptionType::kSectionList;
    EXPECT_EQ(option.set == nullptr, section) << option.key;
    EXPECT_EQ(option.get == nullptr, section) << option.key;
    if (option.required) continue;
    EXPECT_TRUE(section || !DefaultText(option).empty()) << option.key;
  }
}

TEST(OptionTable, RestartIsNeededForWhatItSays) {
  const Config before = Loaded(kEverything);
  EXPECT_TRUE(NeedRestart(before, before).empty());
  Config after = before;
  after.hostname = "other.example";
  after.listeners.pop_back();
  after.limits.drain_ms++;
  EXPECT_TRUE(NeedRestart(before, after).empty());
  Config none = before;
  none.listeners.clear();
  Config ftp = none;
  ftp.listeners.emplace_back().protocol = FindProtocol("ftp");
  EXPECT_EQ(NeedRestart(none, ftp), std::vector<std::string>{"limits.data_listeners"});
  EXPECT_TRUE(NeedRestart(ftp, none).empty());
  EXPECT_TRUE(NeedRestart(ftp, ftp).empty());
  after.workers++;
  after.limits.sessions++;
  after.metrics_bind = SocketAddress();
  EXPECT_EQ(NeedRestart(before, after),
            (std::vector<std::string>{"workers", "metrics.bind", "limits.sessions"}));
}

// The number of `auto` is found once, when the process starts. What the machine gives later makes
// no reload fail.
TEST(OptionTable, AReloadComparesTheWordAuto) {
  const auto loaded = [](const std::string& rest, const LoadEnvironment& environment) {
    LoadResult result = LoadConfig(TestFile{.rest = rest}.Text(), "f", environment);
    EXPECT_TRUE(result.ok()) << result.ErrorText();
    return result.config;
  };
  const LoadEnvironment small{.cpus = 2, .cpus_from = "a quota", .throttled = true};
  const Config automatic = loaded("", small);
  EXPECT_EQ(automatic.workers, 2u);
  EXPECT_EQ(automatic.workers_from, "a quota");
  const LoadEnvironment later = LoadEnvironment::OfReload(automatic);
  const Config again = loaded("workers: auto", later);
  EXPECT_EQ(again.workers, 2u) << "there are as many as at the start";
  EXPECT_TRUE(NeedRestart(automatic, again).empty());
  EXPECT_TRUE(NeedRestart(automatic, loaded("", {.cpus = 64})).empty());
  const Config fixed = loaded("workers: 2", later);
  EXPECT_EQ(NeedRestart(automatic, fixed), std::vector<std::string>{"workers"});
  EXPECT_EQ(NeedRestart(fixed, automatic), std::vector<std::string>{"workers"});
  EXPECT_EQ(NeedRestart(automatic, loaded("pin_workers: false", later)),
            std::vector<std::string>{"pin_workers"});
}

TEST(OptionTable, AReloadKeepsTheSessionsOfAuto) {
  const auto loaded = [](const std::string& rest, const LoadEnvironment& environment) {
    LoadResult result = LoadConfig(TestFile{.rest = rest}.Text(), "f", environment);
    EXPECT_TRUE(result.ok()) << result.ErrorText();
    return result.config;
  };
  LoadEnvironment machine;
  // All else is known by then.
  machine.sessions = [](const Config& config) {
    EXPECT_EQ(config.io, IoChoice::kEpoll);
    return FittedSessions{.sessions = 20'000 / config.workers, .from = "memory"};
  };
  const Config automatic = loaded("workers: 2\nio: epoll\nlimits: {sessions: auto}", machine);
  EXPECT_EQ(automatic.limits.sessions, 10'000u);
  EXPECT_EQ(automatic.sessions_from, "memory");
  EXPECT_NE(EffectiveYaml(automatic).find("sessions: auto\n"), std::string::npos);
  machine.sessions = [](const Config&) { return FittedSessions{.sessions = 5, .from = "less"}; };
  EXPECT_TRUE(NeedRestart(automatic, loaded("workers: 2\nio: epoll", machine)).empty());
  const LoadEnvironment later = LoadEnvironment::OfReload(automatic);
  const Config again = loaded("workers: 2\nio: epoll", later);
  EXPECT_EQ(again.limits.sessions, 10'000u);
  EXPECT_TRUE(NeedRestart(automatic, again).empty());
  const Config fixed = loaded("workers: 2\nio: epoll\nlimits: {sessions: 10000}", later);
  EXPECT_EQ(fixed.sessions_from, "");
  EXPECT_EQ(NeedRestart(automatic, fixed), std::vector<std::string>{"limits.sessions"});
  const Config back = loaded("workers: 2\nio: epoll", LoadEnvironment::OfReload(fixed));
  EXPECT_EQ(NeedRestart(fixed, back), std::vector<std::string>{"limits.sessions"});
}

TEST(OptionTable, PinnedUnlessThereIsAQuota) {
  for (const bool throttled : {false, true}) {
    Config config{.throttled = throttled};
    EXPECT_EQ(PinsWorkers(config), !throttled);
    config.pin_workers = Pinning::kOn;
    EXPECT_TRUE(PinsWorkers(config));
    config.pin_workers = Pinning::kOff;
    EXPECT_FALSE(PinsWorkers(config));
  }
}

// NeedRestart() calls `get` with a Config alone, so options that need a restart must not
// read any other object.
TEST(OptionTable, OnlyGeneralOptionsNeedARestart) {
  for (const Option& option : AllOptions()) {
    if (option.applies != Applies::kRestart) continue;
    EXPECT_TRUE(option.section == Section::kTop || option.section == Section::kMetrics ||
                option.section == Section::kLog ||
                (option.section == Section::kLimits && !option.in_listener))
        << option.key;
  }
}

TEST(Sample, IsTheCommittedFile) {
  std::ifstream stream(kSampleFile);
  ASSERT_TRUE(stream) << kSampleFile;
  std::stringstream file;
  file << stream.rdbuf();
  EXPECT_TRUE(file.str() == SampleYaml()) << "make it again: starling --sample > " << kSampleFile;
}

TEST(Sample, LoadsWithoutWarnings) {
  const LoadResult result = Load(SampleYaml());
  EXPECT_TRUE(result.ok()) << result.ErrorText();
  EXPECT_EQ(result.WarningText(), "");
}

TEST(Sample, HasTheDefaults) {
  const Config config = Loaded(SampleYaml());
  EXPECT_EQ(config.limits, GlobalLimits{});
  ListenerLimits limits;
  const ProtocolRow& protocol = *config.listeners[0].protocol;
  limits.idle_ms = protocol.idle_seconds * 1'000;
  limits.pre_relay_silence_ms = protocol.silence_seconds * 1'000;
  limits.pre_relay_total_ms = protocol.before_relay_seconds * 1'000;
  limits.reserved_sessions =
      config.limits.sessions / 8 / static_cast<uint32_t>(config.listeners.size());
  EXPECT_EQ(config.listeners[0].limits, limits);
  EXPECT_EQ(config.pin_workers, Pinning::kAuto);
}

// Lines with a '#' directly before the key are options, too.
struct SwitchedOn {
  std::string text;                                     // without the sections of one protocol
  std::map<Section, std::string> sections_of_protocol;  // as a listener has them
};

SwitchedOn SwitchOn(const std::string& sample) {
  constexpr size_t kIndent = 4;  // of a listener's options
  SwitchedOn on;
  Section section = Section::kTop;
  std::istringstream lines(sample);
  for (std::string line; std::getline(lines, line);) {
    const size_t mark = line.find_first_not_of(' ');
    const bool comment = mark != std::string::npos && line[mark] == '#';
    if (comment && mark + 1 < line.size() && line[mark + 1] != ' ') line.erase(mark, 1);
    if (mark <= kIndent) section = Section::kTop;
    for (const Option* option : OptionsOf(Section::kListener)) {
      const bool here = mark == kIndent && line.substr(kIndent) == std::string(option->key) + ":";
      if (here) section = OwnSection(*option);
    }
    (section == Section::kTop ? on.text : on.sections_of_protocol[section]) += line + "\n";
  }
  return on;
}

TEST(Sample, SectionsOfOneProtocolLoadForIt) {
  const SwitchedOn on = SwitchOn(SampleYaml());
  EXPECT_FALSE(on.sections_of_protocol.empty());
  for (const auto& [section, lines] : on.sections_of_protocol) {
    for (const ProtocolRow& row : AllProtocols()) {
      TestFile file;
      file.listeners = "listeners:\n  - name: in\n    protocol: " + std::string(row.name) +
                       "\n    bind: \"127.0.0.1:4\"\n    tls: implicit\n    backend: b\n" + lines;
      const LoadResult result = Load(file);
      EXPECT_EQ(result.ok(), IsSectionOf(section, row.name)) << row.name << result.ErrorText();
    }
  }
}

TEST(Sample, LoadsWithEverythingSwitchedOn) {
  const Config config = Loaded(SwitchOn(SampleYaml()).text);
  EXPECT_EQ(config.user, "starling");
  EXPECT_EQ(config.listeners[0].dialogue.hostname, "mx1.example.org");
  EXPECT_EQ(config.listeners[0].proxy_in.from.size(), 2u);
  EXPECT_EQ(config.listeners[0].limits.handshake_ms, 30'000u);
  EXPECT_EQ(config.listeners[1].limits.idle_ms, 31u * 60'000u);
}

TEST(Sample, NamesEveryOption) {
  const std::string sample = SampleYaml();
  for (const Option& option : AllOptions()) {
    EXPECT_NE(sample.find(std::string(option.key) + ":"), std::string::npos) << option.key;
  }
}

TEST(Sample, FitsOnAScreen) {
  std::istringstream lines(SampleYaml());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

}  // namespace
}  // namespace starling
