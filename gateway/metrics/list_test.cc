#include "gateway/metrics/list.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace starling {
namespace {

bool IsName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// A dimension without a label has one empty value; one with a label has distinct values.
void CheckDimension(std::string_view label, std::span<const std::string_view> values) {
  if (label.empty()) {
    ASSERT_EQ(values.size(), 1u);
    EXPECT_EQ(values[0], "");
    return;
  }
  EXPECT_TRUE(IsName(label)) << label;
  EXPECT_EQ(std::count(values.begin(), values.end(), ""), 0) << label;
  EXPECT_EQ(std::set<std::string_view>(values.begin(), values.end()).size(), values.size())
      << label << " has a value twice";
}

TEST(MetricList, NamesAndLabelsAreWellFormed) {
  std::set<std::string_view> names;
  for (const std::span<const FamilyRow> table :
       {std::span<const FamilyRow>(kListenerFamilies), std::span<const FamilyRow>(kServerFamilies),
        std::span<const FamilyRow>(kWorkerFamilies)}) {
    for (const FamilyRow& row : table) {
      SCOPED_TRACE(row.name);
      EXPECT_TRUE(names.insert(row.name).second) << "named twice";
      EXPECT_TRUE(IsName(row.name));
      EXPECT_TRUE(row.name.starts_with("starling_"));
      EXPECT_EQ(row.name.ends_with("_total"), row.type == MetricType::kCounter);
      EXPECT_FALSE(row.help.empty());
      CheckDimension(row.row_label, row.rows);
      CheckDimension(row.col_label, row.cols);
    }
  }
  for (const HistogramRow& row : kHistograms) EXPECT_TRUE(names.insert(row.name).second);
}

TEST(MetricList, HasEveryNameOfTheInterface) {
  std::set<std::string_view> names;
  for (const FamilyRow& row : kListenerFamilies) names.insert(row.name);
  for (const FamilyRow& row : kServerFamilies) names.insert(row.name);
  for (const FamilyRow& row : kWorkerFamilies) names.insert(row.name);
  for (const HistogramRow& row : kHistograms) names.insert(row.name);
  for (const char* name :
       {"starling_connections_accepted_total", "starling_connections_refused_total",
        "starling_sessions", "starling_sessions_ended_total", "starling_session_seconds",
        "starling_tls_handshakes_total", "starling_tls_handshake_failures_total",
        "starling_tls_handshake_seconds", "starling_tls_negotiated_total",
        "starling_tls_group_total", "starling_starttls_offered_total",
        "starling_starttls_upgrades_total", "starling_plaintext_sessions_total",
        "starling_downgrade_signals_total", "starling_attacks_refused_total",
        "starling_bytes_total", "starling_backend_sessions",
        "starling_backend_connect_failures_total", "starling_limit_reached_total"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(MetricList, EnumeratorsMatchTheirLabels) {
  const auto at = [](const auto& labels, auto e) { return labels[static_cast<size_t>(e)]; };
  EXPECT_EQ(at(kSessionPhaseLabels, SessionPhase::kDrain), "drain");
  EXPECT_EQ(at(kDirectionLabels, Direction::kUpstreamOut), "upstream_out");
  EXPECT_EQ(at(kRefusedLabels, Refused::kBufferLimit), "buffer_limit");
  EXPECT_EQ(at(kConnectFailureLabels, ConnectFailure::kOther), "other");
  EXPECT_EQ(at(kLimitLabels, Limit::kLogRecords), "log_records");
  EXPECT_EQ(kListenerFamilies[static_cast<size_t>(Family::kBytes)].name, "starling_bytes_total");
}

TEST(MetricList, HistogramBoundsRise) {
  for (const auto& bounds : kHistogramBoundsMicros) {
    EXPECT_EQ(std::adjacent_find(std::begin(bounds), std::end(bounds), std::greater_equal<>()),
              std::end(bounds));
  }
}

TEST(MetricList, ConnectFailures) {
  const struct {
    int error;
    ConnectFailure want;
  } kCases[] = {
      {ECONNREFUSED, ConnectFailure::kRefused}, {ETIMEDOUT, ConnectFailure::kTimeout},
      {EAGAIN, ConnectFailure::kBacklogFull},   {EHOSTUNREACH, ConnectFailure::kUnreachable},
      {ENOENT, ConnectFailure::kNoSuchSocket},  {EACCES, ConnectFailure::kPermission},
      {EINVAL, ConnectFailure::kOther},
  };
  for (const auto& c : kCases) EXPECT_EQ(ConnectFailureOf(c.error), c.want) << c.error;
}

}  // namespace
}  // namespace starling
