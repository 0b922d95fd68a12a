#include "gateway/metrics/exporter.h"

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace starling {
namespace {

class ExporterTest : public testing::Test {
 protected:
  ExporterTest() {
    Exporter::Sources sources;
    sources.version = "1.2.3";
    sources.boringssl = "0.2026";
    sources.liburing = "2.3";
    sources.ring = "epoll";
    sources.ring_reason = "seccomp";
    sources.shards = {&shards_[0], &shards_[1]};
    sources.servers_up = [] { return std::vector<std::optional<bool>>{true, false}; };
    sources.ticket_keys = [] {
      return std::vector<Exporter::TicketKeys>{{"internal", 0, 0}, {"/keys", 3, 1'700'000'003}};
    };
    sources.log_lost = [] { return 5u; };
    exporter_ = std::make_shared<Exporter>(std::move(sources));
    exporter_->SetNames({{"mx", "smtp"}, {"imaps", "imap"}},
                        {{"postfix", "unix:/mx"}, {"dovecot", "127.0.0.1:10143"}});
  }

  std::string Scrape() const {
    return MetricsHandler(exporter_, [](Readiness) { return ""; })("/metrics", "")->make_body();
  }
  // Whether the text contains exactly this line.
  testing::AssertionResult Has(const std::string& line) const {
    const std::string text = "\n" + Scrape();
    if (text.find("\n" + line + "\n") != std::string::npos) return testing::AssertionSuccess();
    const std::string name = line.substr(0, line.find_first_of("{ "));
    testing::AssertionResult result = testing::AssertionFailure() << "no " << line << " among:\n";
    std::istringstream lines(text);
    for (std::string other; std::getline(lines, other);) {
      if (other.starts_with(name)) result << other << "\n";
    }
    return result;
  }

  Shard shards_[2] = {Shard(4, 4), Shard(4, 4)};
  std::shared_ptr<Exporter> exporter_;
};

TEST_F(ExporterTest, EveryFamilyHasHelpTypeAndAllItsSeriesAtZero) {
  const std::string text = Scrape();
  const auto check = [&](const FamilyRow& row, size_t things) {
    const std::string name(row.name);
    const char* type = row.type == MetricType::kGauge ? " gauge\n" : " counter\n";
    EXPECT_NE(text.find("# HELP " + name + " " + std::string(row.help) + "\n"), std::string::npos)
        << name;
    EXPECT_NE(text.find("# TYPE " + name + type), std::string::npos) << name;
    size_t series = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(name + "{") || line.starts_with(name + " ")) {
        ++series;
        if (name != "starling_log_lines_lost_total") EXPECT_TRUE(line.ends_with(" 0")) << line;
      }
    }
    const size_t rows = row.rows.size() - (row.rows[0] == kNothingHappened ? 1 : 0);
    EXPECT_EQ(series, things * rows * row.cols.size()) << name;
  };
  for (const FamilyRow& row : kListenerFamilies) check(row, 2);
  for (const FamilyRow& row : kServerFamilies) check(row, 2);
  for (const FamilyRow& row : kWorkerFamilies) check(row, row.with_worker ? 2 : 1);
  EXPECT_EQ(text.find("\"none\""), std::string::npos);
}

TEST_F(ExporterTest, LabelsAreInTheOrderOfTheInterface) {
  EXPECT_TRUE(Has("starling_connections_accepted_total{listener=\"mx\"} 0"));
  EXPECT_TRUE(Has("starling_sessions{listener=\"imaps\",phase=\"relay\"} 0"));
  EXPECT_TRUE(
      Has("starling_tls_handshakes_total{listener=\"mx\",version=\"TLSv1.3\",resumed=\"yes\"} 0"));
  EXPECT_TRUE(
      Has("starling_downgrade_signals_total{listener=\"mx\",protocol=\"smtp\","
          "signal=\"not_taken\"} 0"));
  EXPECT_TRUE(
      Has("starling_backend_connect_failures_total{backend=\"postfix\","
          "server=\"unix:/mx\",reason=\"refused\"} 0"));
  EXPECT_TRUE(Has("starling_limit_reached_total{limit=\"sessions\"} 0"));
  EXPECT_TRUE(Has("starling_worker_turns_total{worker=\"1\"} 0"));
}

TEST_F(ExporterTest, SumsTheShards) {
  shards_[0].Add(Family::kAccepted, 1, 0, 0, 3);
  shards_[1].Add(Family::kAccepted, 1, 0, 0, 4);
  shards_[0].AddServer(ServerFamily::kConnectFailures, 1, 1, 2);
  shards_[1].AddWorker(WorkerFamily::kLimitReached, 0, 6);
  shards_[0].AddWorker(WorkerFamily::kLimitReached, 0, 1);
  shards_[1].AddWorker(WorkerFamily::kLogLost, 0, 1);
  shards_[1].AddWorker(WorkerFamily::kLoopMicros, 0, 1'500'000);
  EXPECT_TRUE(Has("starling_connections_accepted_total{listener=\"imaps\"} 7"));
  EXPECT_TRUE(
      Has("starling_backend_connect_failures_total{backend=\"dovecot\","
          "server=\"127.0.0.1:10143\",reason=\"timeout\"} 2"));
  EXPECT_TRUE(Has("starling_limit_reached_total{limit=\"sessions\"} 7"));
  EXPECT_TRUE(Has("starling_log_lines_lost_total 6"));
  EXPECT_TRUE(Has("starling_worker_loop_busy_seconds_total{worker=\"1\"} 1.5"));
  EXPECT_TRUE(Has("starling_worker_loop_busy_seconds_total{worker=\"0\"} 0"));
}

// One worker may count a session's begin and another its end.
TEST_F(ExporterTest, GaugesAreSigned) {
  const size_t relay = static_cast<size_t>(SessionPhase::kRelay);
  shards_[0].Add(Family::kSessions, 0, relay, 0, 3);
  shards_[1].Add(Family::kSessions, 0, relay, 0, -3);
  EXPECT_TRUE(Has("starling_sessions{listener=\"mx\",phase=\"relay\"} 0"));
  shards_[1].Add(Family::kSessions, 0, relay, 0, -1);
  EXPECT_TRUE(Has("starling_sessions{listener=\"mx\",phase=\"relay\"} -1"));
}

TEST_F(ExporterTest, HistogramBucketsAreCumulative) {
  shards_[0].Observe(Histogram::kHandshakeSeconds, 0, 250);
  shards_[1].Observe(Histogram::kHandshakeSeconds, 0, 400);
  shards_[1].Observe(Histogram::kHandshakeSeconds, 0, 60'000'000);
  EXPECT_TRUE(Has("# TYPE starling_tls_handshake_seconds histogram"));
  EXPECT_TRUE(Has("starling_tls_handshake_seconds_bucket{listener=\"mx\",le=\"0.00025\"} 1"));
  EXPECT_TRUE(Has("starling_tls_handshake_seconds_bucket{listener=\"mx\",le=\"0.0005\"} 2"));
  EXPECT_TRUE(Has("starling_tls_handshake_seconds_bucket{listener=\"mx\",le=\"15\"} 2"));
  EXPECT_TRUE(Has("starling_tls_handshake_seconds_bucket{listener=\"mx\",le=\"+Inf\"} 3"));
  EXPECT_TRUE(Has("starling_tls_handshake_seconds_count{listener=\"mx\"} 3"));
  EXPECT_TRUE(Has("starling_tls_handshake_seconds_sum{listener=\"mx\"} 60.00065"));
  EXPECT_TRUE(Has("starling_session_seconds_count{listener=\"imaps\"} 0"));
}

TEST_F(ExporterTest, WhatIsNotCounted) {
  EXPECT_TRUE(
      Has("starling_build_info{version=\"1.2.3\",boringssl=\"0.2026\",liburing=\"2.3\"} 1"));
  EXPECT_TRUE(Has("starling_io_ring_info{ring=\"epoll\",reason=\"seccomp\"} 1"));
  EXPECT_TRUE(Has("starling_backend_up{backend=\"postfix\",server=\"unix:/mx\"} 1"));
  EXPECT_TRUE(Has("starling_backend_up{backend=\"dovecot\",server=\"127.0.0.1:10143\"} 0"));
  exporter_->SetStart(1'700'000'000, 1);
  EXPECT_TRUE(Has("starling_config_last_reload_success 1"));
  EXPECT_TRUE(Has("starling_config_last_reload_timestamp_seconds 1700000000"));
  EXPECT_TRUE(Has("starling_config_generation 1"));
  EXPECT_TRUE(Has("starling_config_reloads_total{result=\"success\",trigger=\"signal\"} 0"));
  exporter_->CountReload(
      {.success = false, .by_files = true, .at = 1'700'000'009, .seconds = 0.25, .generation = 1});
  EXPECT_TRUE(Has("starling_config_last_reload_success 0"));
  EXPECT_TRUE(Has("starling_config_last_reload_timestamp_seconds 1700000009"));
  EXPECT_TRUE(Has("starling_config_last_reload_seconds 0.25"));
  EXPECT_TRUE(Has("starling_config_reloads_total{result=\"failure\",trigger=\"files\"} 1"));
  EXPECT_TRUE(Has("starling_config_reloads_total{result=\"success\",trigger=\"files\"} 0"));
  exporter_->SetGenerations(3);
  EXPECT_TRUE(Has("starling_config_generations_alive 3"));
  exporter_->SetCertificates({{"/etc/ec.crt", "a.example,b.example", 1'800'000'001, 0},
                              {"/etc/rsa.crt", std::string(250, 'x') + ",y.example", 2, 3}});
  EXPECT_TRUE(Has("starling_certificates_loaded 2"));
  EXPECT_TRUE(
      Has("starling_certificate_ocsp_next_update_timestamp_seconds{certificate="
          "\"/etc/rsa.crt\",names=\"" +
          std::string(250, 'x') + ",...\"} 3"));
  EXPECT_TRUE(
      Has("starling_certificate_not_after_timestamp_seconds{certificate=\"/etc/ec.crt\","
          "names=\"a.example,b.example\"} 1800000001"));
}

TEST_F(ExporterTest, TicketKeysThatAreNotInUseHaveNoAge) {
  const std::string since = "starling_ticket_key_created_timestamp_seconds{source=";
  EXPECT_TRUE(Has("starling_ticket_key_generation{source=\"internal\"} 0"));
  EXPECT_TRUE(Has("starling_ticket_key_generation{source=\"/keys\"} 3"));
  EXPECT_TRUE(Has(since + "\"/keys\"} 1700000003"));
  EXPECT_FALSE(Has(since + "\"internal\"} 0"));
}

TEST_F(ExporterTest, LabelsAreEscaped) {
  exporter_->SetCertificates({{"/a\"b\\c\nd", "x", 1, 0}});
  EXPECT_TRUE(
      Has("starling_certificate_not_after_timestamp_seconds{"
          "certificate=\"/a\\\"b\\\\c\\nd\",names=\"x\"} 1"));
}

TEST_F(ExporterTest, NamesBeyondTheShardsAreLeftOut) {
  exporter_->SetNames(std::vector<Exporter::Listener>(9, {"x", "tcp"}), {});
  const std::vector<prometheus::MetricFamily> families = exporter_->Collect();
  for (const auto& family : families) {
    if (family.name == "starling_connections_accepted_total") EXPECT_EQ(family.metric.size(), 4u);
  }
}

// Names that resolve to servers lend them their ids.
TEST_F(ExporterTest, AnIdThatAnotherServerGetsBeginsAtZero) {
  const auto of = [&](const char* server, int count) {
    return Has("starling_backend_connect_failures_total{backend=\"dovecot\",server=\"" +
               std::string(server) + "\",reason=\"timeout\"} " + std::to_string(count));
  };
  shards_[0].AddServer(ServerFamily::kConnectFailures, 1,
                       static_cast<size_t>(ConnectFailure::kTimeout), 3);
  shards_[1].AddServer(ServerFamily::kConnectFailures, 1,
                       static_cast<size_t>(ConnectFailure::kTimeout), 4);
  EXPECT_TRUE(of("127.0.0.1:10143", 7));
  exporter_->SetNames({}, {{"postfix", "unix:/mx"}, {}});
  EXPECT_EQ(Scrape().find("server=\"127.0.0.1:10143\""), std::string::npos);
  exporter_->SetNames({}, {{"postfix", "unix:/mx"}, {"dovecot", "10.0.0.2:143"}});
  EXPECT_TRUE(of("10.0.0.2:143", 0));
  shards_[0].AddServer(ServerFamily::kConnectFailures, 1,
                       static_cast<size_t>(ConnectFailure::kTimeout), 2);
  exporter_->SetNames({}, {{"postfix", "unix:/mx"}, {"dovecot", "10.0.0.2:143"}, {"x", "y"}});
  EXPECT_TRUE(of("10.0.0.2:143", 2)) << "the same server goes on";
  exporter_->SetNames({}, {{"postfix", "unix:/mx"}, {"dovecot", "10.0.0.3:143"}});
  EXPECT_TRUE(of("10.0.0.3:143", 0));
}

TEST_F(ExporterTest, AServerThatHasLeftIsNeitherUpNorDown) {
  exporter_->SetNames({}, {{"a", "1"}, {"a", "2"}, {"a", "3"}});
  EXPECT_TRUE(Has("starling_backend_up{backend=\"a\",server=\"1\"} 1"));
  EXPECT_TRUE(Has("starling_backend_up{backend=\"a\",server=\"2\"} 0"));
  EXPECT_EQ(Scrape().find("starling_backend_up{backend=\"a\",server=\"3\"}"), std::string::npos);
  const std::string sessions = "starling_backend_sessions{backend=\"a\",server=\"3\"}";
  EXPECT_EQ(Scrape().find(sessions), std::string::npos);
  shards_[0].AddServer(ServerFamily::kBackendSessions, 2);
  EXPECT_TRUE(Has(sessions + " 1")) << "as long as it has some";
  EXPECT_TRUE(
      Has("starling_backend_tls_handshakes_total{backend=\"a\",server=\"3\",resumed=\"no\"} "
          "0"))
      << "counters stay";
}

TEST_F(ExporterTest, WhatNamesResolveTo) {
  Exporter::Sources sources;
  sources.resolved = [] {
    return std::vector<Exporter::Resolved>{{.backend = "b",
                                            .lookups = {5, 4, 3, 2, 1},
                                            .refused = {7, 8, 9},
                                            .addresses = 6,
                                            .answered = 1'700'000'000}};
  };
  exporter_ = std::make_shared<Exporter>(std::move(sources));
  EXPECT_TRUE(Has("starling_resolve_lookups_total{backend=\"b\",result=\"no_name\"} 4"));
  EXPECT_TRUE(Has("starling_resolve_refused_addresses_total{backend=\"b\",reason=\"network\"} 7"));
  EXPECT_TRUE(Has("starling_resolve_addresses{backend=\"b\"} 6"));
  EXPECT_TRUE(Has("starling_resolve_last_answer_timestamp_seconds{backend=\"b\"} 1700000000"));
}

TEST_F(ExporterTest, ProcessFamilies) {
  for (const auto& family : exporter_->Collect()) {
    if (!family.name.starts_with("process_")) continue;
    ASSERT_EQ(family.metric.size(), 1u);
    EXPECT_GT(family.metric[0].gauge.value, 0) << family.name;
  }
  const std::string text = Scrape();
  for (const char* name : {"process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_start_time_seconds", "process_cpu_seconds_total"}) {
    EXPECT_NE(text.find("\n" + std::string(name) + " "), std::string::npos) << name;
  }
}

TEST_F(ExporterTest, HealthAndReadiness) {
  std::string why;
  const HttpHandler handler = MetricsHandler(exporter_, [&](Readiness) { return why; });
  EXPECT_EQ(handler("/healthz", "")->status, 200);
  EXPECT_EQ(handler("/healthz", "")->body, "ok\n");
  EXPECT_EQ(handler("/readyz", "")->status, 200);
  why = "draining";
  EXPECT_EQ(handler("/readyz", "")->status, 503);
  EXPECT_EQ(handler("/readyz", "")->body, "draining\n");
  EXPECT_EQ(handler("/healthz", "")->status, 200);
  EXPECT_EQ(handler("/metrics", "")->content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_FALSE(handler("/", "").has_value());
  EXPECT_FALSE(handler("/metrics/", "").has_value());
}

TEST_F(ExporterTest, ReadinessOfBackendsIsAskedFor) {
  std::optional<Readiness> asked;
  const HttpHandler handler = MetricsHandler(exporter_, [&](Readiness about) {
    asked = about;
    return std::string(about == Readiness::kProcess ? "" : "down");
  });
  EXPECT_EQ(handler("/readyz", "")->status, 200);
  EXPECT_EQ(asked, Readiness::kProcess);
  EXPECT_EQ(handler("/readyz", "backends=any")->status, 503);
  EXPECT_EQ(asked, Readiness::kEveryBackend);
  EXPECT_EQ(handler("/readyz", "backends=all")->status, 503);
  EXPECT_EQ(asked, Readiness::kSomeBackend);
  asked.reset();
  EXPECT_EQ(handler("/readyz", "backends=some")->status, 400);
  EXPECT_EQ(handler("/readyz", "backend=any")->status, 400);
  EXPECT_FALSE(asked.has_value());
}

}  // namespace
}  // namespace starling
