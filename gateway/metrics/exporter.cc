#include "gateway/metrics/exporter.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

#include "prometheus/text_serializer.h"

namespace starling {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily NewFamily(std::string_view name, std::string_view help, prometheus::MetricType type) {
  return {std::string(name), std::string(help), type, {}};
}

MetricFamily NewFamily(const FamilyRow& row) {
  return NewFamily(row.name, row.help,
                   row.type == MetricType::kGauge ? prometheus::MetricType::Gauge
                                                  : prometheus::MetricType::Counter);
}

void AddSample(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  // The serializer reads the member that the family's type selects.
  metric.counter.value = value;
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

// A gauge's sum is modulo 2^64, because a worker's cell may be below zero.
double Value(const FamilyRow& row, uint64_t sum) {
  const double value = row.type == MetricType::kGauge
                           ? static_cast<double>(static_cast<int64_t>(sum))
                           : static_cast<double>(sum);
  return row.unit == 1 ? value : value * row.unit;
}

// Adds a sample for each combination of the row's labels, after the labels in `base`.
// `sum(row, col)` returns the value.
template <typename Sum>
void AddSamples(MetricFamily& family, const FamilyRow& row, const Labels& base, Sum sum) {
  for (size_t r = 0; r < row.rows.size(); ++r) {
    if (row.rows[r] == kNothingHappened) continue;
    for (size_t c = 0; c < row.cols.size(); ++c) {
      Labels labels = base;
      if (!row.row_label.empty()) {
        labels.push_back({std::string(row.row_label), std::string(row.rows[r])});
      }
      if (!row.col_label.empty()) {
        labels.push_back({std::string(row.col_label), std::string(row.cols[c])});
      }
      AddSample(family, std::move(labels), Value(row, sum(r, c)));
    }
  }
}

template <typename Get>
uint64_t SumOf(const std::vector<const Shard*>& shards, Get get) {
  uint64_t sum = 0;
  for (const Shard* shard : shards) sum += get(*shard);
  return sum;
}

// A certificate may have hundreds of names, too many for a label.
std::string Shortened(const std::string& names) {
  constexpr size_t kMost = 256;
  if (names.size() <= kMost) return names;
  return names.substr(0, names.rfind(',', kMost)) + ",...";
}

Labels LabelsOf(const Exporter::Server& server) {
  return {{"backend", server.backend}, {"server", server.server}};
}

// Drops names that not every shard has cells for.
template <typename T>
void DropWithoutCells(std::vector<T>& names, const std::vector<const Shard*>& shards,
                      size_t (Shard::*size)() const) {
  for (const Shard* shard : shards) {
    names.resize(std::min(names.size(), (shard->*size)()));
  }
}

}  // namespace

Exporter::Exporter(Sources sources) : sources_(std::move(sources)) {}

void Exporter::SetNames(std::vector<Listener> listeners, std::vector<Server> servers) {
  DropWithoutCells(listeners, sources_.shards, &Shard::listeners);
  DropWithoutCells(servers, sources_.shards, &Shard::servers);
  const MutexLock lock(mutex_);
  listeners_ = std::move(listeners);
  for (ServerSeries id = 0; id < servers.size(); ++id) {
    const bool had_one = id < servers_.size() && !servers_[id].server.empty();
    if (servers[id].server.empty() || (had_one && servers_[id] == servers[id])) continue;
    // Only an id that is new has no cells that were counted.
    if (id >= servers_.size()) continue;
    std::vector<uint64_t>& before = before_[id];
    before.clear();
    for (size_t f = 0; f < std::size(kServerFamilies); ++f) {
      for (size_t r = 0; r < kServerFamilies[f].rows.size(); ++r) {
        before.push_back(ServerSum(f, id, r));
      }
    }
  }
  servers_ = std::move(servers);
}

uint64_t Exporter::ServerSum(size_t family, ServerSeries id, size_t row) const {
  return SumOf(sources_.shards, [&](const Shard& shard) {
    return shard.GetServer(static_cast<ServerFamily>(family), id, row);
  });
}

void Exporter::SetCertificates(std::vector<Certificate> certificates) {
  const MutexLock lock(mutex_);
  certificates_ = std::move(certificates);
}

void Exporter::SetStart(int64_t unix_seconds, uint64_t generation) {
  const MutexLock lock(mutex_);
  reload_ = {.success = true, .at = unix_seconds, .generation = generation};
}

void Exporter::CountReload(const Reload& reload) {
  const MutexLock lock(mutex_);
  reload_ = reload;
  ++reloads_[reload.success ? 1 : 0][reload.by_files ? 1 : 0];
}

void Exporter::SetGenerations(size_t alive) {
  const MutexLock lock(mutex_);
  generations_ = alive;
}

std::vector<MetricFamily> Exporter::Collect() const {
  std::vector<MetricFamily> families;
  const MutexLock lock(mutex_);
  CollectMemory(families);
  CollectProcess(families);
  CollectCertificates(families);
  CollectReloads(families);
  CollectListeners(families);
  CollectHistograms(families);
  CollectServers(families);
  CollectResolved(families);
  CollectWorkers(families);
  return families;
}

void Exporter::CollectListeners(Families& families) const {
  for (size_t f = 0; f < std::size(kListenerFamilies); ++f) {
    const FamilyRow& row = kListenerFamilies[f];
    MetricFamily family = NewFamily(row);
    for (ListenerId id = 0; id < listeners_.size(); ++id) {
      Labels base = {{"listener", listeners_[id].name}};
      if (row.with_protocol) base.push_back({"protocol", listeners_[id].protocol});
      AddSamples(family, row, base, [&](size_t r, size_t c) {
        return SumOf(sources_.shards, [&](const Shard& shard) {
          return shard.Get(static_cast<Family>(f), id, r, c);
        });
      });
    }
    families.push_back(std::move(family));
  }
}

void Exporter::CollectHistograms(Families& families) const {
  for (size_t h = 0; h < kHistogramCount; ++h) {
    MetricFamily family =
        NewFamily(kHistograms[h].name, kHistograms[h].help, prometheus::MetricType::Histogram);
    for (ListenerId id = 0; id < listeners_.size(); ++id) {
      Shard::HistogramView sum{};
      for (const Shard* shard : sources_.shards) {
        const Shard::HistogramView view = shard->GetHistogram(static_cast<Histogram>(h), id);
        for (size_t b = 0; b < view.buckets.size(); ++b) sum.buckets[b] += view.buckets[b];
        sum.sum_micros += view.sum_micros;
      }
      ClientMetric metric;
      metric.label = {{"listener", listeners_[id].name}};
      uint64_t cumulated = 0;
      for (size_t b = 0; b < sum.buckets.size(); ++b) {
        cumulated += sum.buckets[b];
        const double bound = b < kHistogramBuckets
                                 ? static_cast<double>(kHistogramBoundsMicros[h][b]) / 1e6
                                 : std::numeric_limits<double>::infinity();
        metric.histogram.bucket.push_back({cumulated, bound});
      }
      metric.histogram.sample_count = cumulated;
      metric.histogram.sample_sum = static_cast<double>(sum.sum_micros) / 1e6;
      family.metric.push_back(std::move(metric));
    }
    families.push_back(std::move(family));
  }
}

void Exporter::CollectServers(Families& families) const {
  MetricFamily up = NewFamily("starling_backend_up", "1 if the server answers, 0 if it is down.",
                              prometheus::MetricType::Gauge);
  std::vector<std::optional<bool>> is_up;
  if (sources_.servers_up) is_up = sources_.servers_up();
  is_up.resize(servers_.size());
  for (ServerSeries id = 0; id < servers_.size(); ++id) {
    if (servers_[id].server.empty() || !is_up[id]) continue;
    AddSample(up, LabelsOf(servers_[id]), *is_up[id] ? 1 : 0);
  }
  if (sources_.servers_up) families.push_back(std::move(up));
  size_t cell = 0;
  for (size_t f = 0; f < std::size(kServerFamilies); ++f) {
    const FamilyRow& row = kServerFamilies[f];
    MetricFamily family = NewFamily(row);
    for (ServerSeries id = 0; id < servers_.size(); ++id) {
      if (servers_[id].server.empty()) continue;
      const auto found = before_.find(id);
      const std::vector<uint64_t>* const before = found == before_.end() ? nullptr : &found->second;
      const auto sum = [&](size_t r) {
        return ServerSum(f, id, r) - (before == nullptr ? 0 : (*before)[cell + r]);
      };
      // A server that has left has its gauge as long as sessions go on there.
      const bool shown = !sources_.servers_up || is_up[id].has_value();
      if (row.type == MetricType::kGauge && !shown && sum(0) == 0) continue;
      AddSamples(family, row, LabelsOf(servers_[id]), [&](size_t r, size_t) { return sum(r); });
    }
    cell += row.rows.size();
    families.push_back(std::move(family));
  }
}

void Exporter::CollectResolved(Families& families) const {
  if (!sources_.resolved) return;
  MetricFamily lookups =
      NewFamily("starling_resolve_lookups_total", "Look-ups of the backend's names, by result.",
                prometheus::MetricType::Counter);
  MetricFamily refused = NewFamily("starling_resolve_refused_addresses_total",
                                   "Addresses that names resolved to and that are not used, by "
                                   "reason; each look-up counts them.",
                                   prometheus::MetricType::Counter);
  MetricFamily addresses = NewFamily("starling_resolve_addresses",
                                     "Addresses of the servers that a backend with names has now.",
                                     prometheus::MetricType::Gauge);
  MetricFamily answered = NewFamily("starling_resolve_last_answer_timestamp_seconds",
                                    "When the backend's names last had an answer: the name that "
                                    "has waited for one longest.",
                                    prometheus::MetricType::Gauge);
  for (const Resolved& backend : sources_.resolved()) {
    const Labels base = {{"backend", backend.backend}};
    const auto add = [&](MetricFamily& family, std::string label,
                         std::span<const std::string_view> names,
                         const std::vector<uint64_t>& values) {
      for (size_t i = 0; i < values.size(); ++i) {
        AddSample(family, {base[0], {label, std::string(names[i])}},
                  static_cast<double>(values[i]));
      }
    };
    add(lookups, "result", kLookupLabels, backend.lookups);
    add(refused, "reason", kRefusedAddressLabels, backend.refused);
    AddSample(addresses, base, static_cast<double>(backend.addresses));
    if (backend.answered != 0) AddSample(answered, base, static_cast<double>(backend.answered));
  }
  for (MetricFamily* const family : {&lookups, &refused, &addresses, &answered}) {
    families.push_back(std::move(*family));
  }
}

void Exporter::CollectWorkers(Families& families) const {
  for (size_t f = 0; f < std::size(kWorkerFamilies); ++f) {
    const FamilyRow& row = kWorkerFamilies[f];
    const auto id = static_cast<WorkerFamily>(f);
    MetricFamily family = NewFamily(row);
    if (row.with_worker) {
      for (size_t w = 0; w < sources_.shards.size(); ++w) {
        AddSamples(family, row, {{"worker", std::to_string(w)}},
                   [&](size_t r, size_t) { return sources_.shards[w]->GetWorker(id, r); });
      }
    } else {
      const uint64_t beside =
          id == WorkerFamily::kLogLost && sources_.log_lost ? sources_.log_lost() : 0;
      AddSamples(family, row, {}, [&](size_t r, size_t) {
        return beside +
               SumOf(sources_.shards, [&](const Shard& shard) { return shard.GetWorker(id, r); });
      });
    }
    families.push_back(std::move(family));
  }
}

void Exporter::CollectMemory(Families& families) const {
  if (!sources_.memory) return;
  MetricFamily used =
      NewFamily("starling_memory_used_bytes", "Memory in use, by the limit that it counts against.",
                prometheus::MetricType::Gauge);
  MetricFamily limit =
      NewFamily("starling_memory_limit_bytes", "Limits of memory that the gateway watches.",
                prometheus::MetricType::Gauge);
  for (const Memory& memory : sources_.memory()) {
    AddSample(used, {{"what", memory.what}}, static_cast<double>(memory.used));
    AddSample(limit, {{"what", memory.what}}, static_cast<double>(memory.limit));
  }
  families.push_back(std::move(used));
  families.push_back(std::move(limit));
}

void Exporter::CollectProcess(Families& families) const {
  MetricFamily build =
      NewFamily("starling_build_info", "Versions of the gateway and its libraries; always 1.",
                prometheus::MetricType::Gauge);
  AddSample(build,
            {{"version", sources_.version},
             {"boringssl", sources_.boringssl},
             {"liburing", sources_.liburing}},
            1);
  families.push_back(std::move(build));
  MetricFamily ring =
      NewFamily("starling_io_ring_info",
                "What the workers wait for the kernel by, and why: available, configured, or what "
                "keeps io_uring from serving (seccomp, sysctl, sandbox, old_kernel, memory_limit). "
                "Always 1.",
                prometheus::MetricType::Gauge);
  AddSample(ring, {{"ring", sources_.ring}, {"reason", sources_.ring_reason}}, 1);
  families.push_back(std::move(ring));

  process_.Collect(families);
}

void Exporter::CollectCertificates(Families& families) const {
  const auto gauge = [](std::string_view name, std::string_view help) {
    return NewFamily(name, help, prometheus::MetricType::Gauge);
  };
  MetricFamily loaded =
      gauge("starling_certificates_loaded", "Number of certificates loaded for all listeners.");
  AddSample(loaded, {}, static_cast<double>(certificates_.size()));
  families.push_back(std::move(loaded));
  MetricFamily expiry = gauge("starling_certificate_not_after_timestamp_seconds",
                              "When the loaded certificate expires.");
  MetricFamily ocsp = gauge("starling_certificate_ocsp_next_update_timestamp_seconds",
                            "When the OCSP response of the loaded certificate expires.");
  for (const Certificate& certificate : certificates_) {
    const Labels labels = {{"certificate", certificate.file},
                           {"names", Shortened(certificate.names)}};
    AddSample(expiry, labels, static_cast<double>(certificate.not_after));
    if (certificate.ocsp_next_update == 0) continue;
    AddSample(ocsp, labels, static_cast<double>(certificate.ocsp_next_update));
  }
  families.push_back(std::move(expiry));
  families.push_back(std::move(ocsp));
  if (!sources_.ticket_keys) return;
  MetricFamily generation = gauge("starling_ticket_key_generation",
                                  "How often the key that seals session tickets has changed.");
  MetricFamily created = gauge("starling_ticket_key_created_timestamp_seconds",
                               "When the key that seals session tickets came into use.");
  for (const TicketKeys& keys : sources_.ticket_keys()) {
    AddSample(generation, {{"source", keys.source}}, static_cast<double>(keys.generation));
    // Unused keys have no age.
    if (keys.created == 0) continue;
    AddSample(created, {{"source", keys.source}}, static_cast<double>(keys.created));
  }
  families.push_back(std::move(generation));
  families.push_back(std::move(created));
}

void Exporter::CollectReloads(Families& families) const {
  const auto gauge = [&](std::string_view name, std::string_view help, double value) {
    MetricFamily family = NewFamily(name, help, prometheus::MetricType::Gauge);
    AddSample(family, {}, value);
    families.push_back(std::move(family));
  };
  gauge("starling_config_last_reload_success",
        "1 if the last attempt to load the configuration or its changed files succeeded.",
        reload_.success ? 1 : 0);
  gauge("starling_config_last_reload_timestamp_seconds", "When the last attempt was.",
        static_cast<double>(reload_.at));
  gauge("starling_config_last_reload_seconds", "How long the last attempt took.", reload_.seconds);
  gauge("starling_config_generation", "Number of the configuration that new sessions use.",
        static_cast<double>(reload_.generation));
  gauge("starling_config_generations_alive",
        "Number of configurations in use by sessions, including the newest.",
        static_cast<double>(generations_));
  MetricFamily reloads = NewFamily("starling_config_reloads_total",
                                   "Attempts to reload the configuration or its files.",
                                   prometheus::MetricType::Counter);
  for (const bool success : {true, false}) {
    for (const bool by_files : {false, true}) {
      AddSample(
          reloads,
          {{"result", success ? "success" : "failure"}, {"trigger", by_files ? "files" : "signal"}},
          static_cast<double>(reloads_[success ? 1 : 0][by_files ? 1 : 0]));
    }
  }
  families.push_back(std::move(reloads));
}

namespace {

std::optional<Readiness> ReadinessOf(std::string_view query) {
  if (query.empty()) return Readiness::kProcess;
  if (query == "backends=any") return Readiness::kEveryBackend;
  if (query == "backends=all") return Readiness::kSomeBackend;
  return std::nullopt;
}

std::string TextOf(const prometheus::Collectable& collectable) {
  std::ostringstream text;
  // Otherwise the stream keeps it to itself that there was no memory, and the page has an end
  // where nobody expects it.
  text.exceptions(std::ios::badbit);
  prometheus::TextSerializer().Serialize(text, collectable.Collect());
  return std::move(text).str();
}

}  // namespace

HttpHandler MetricsHandler(std::shared_ptr<const prometheus::Collectable> collectable,
                           std::function<std::string(Readiness asked)> not_ready) {
  return [collectable = std::move(collectable), not_ready = std::move(not_ready)](
             std::string_view path, std::string_view query) -> std::optional<HttpResponse> {
    if (path == "/metrics") {
      return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                          .make_body = [collectable] { return TextOf(*collectable); }};
    }
    HttpResponse response;
    if (path == "/healthz") {
      response.body = "ok\n";
      return response;
    }
    if (path != "/readyz") return std::nullopt;
    const std::optional<Readiness> asked = ReadinessOf(query);
    if (!asked) {
      response.status = 400;
      response.body = "/readyz, /readyz?backends=any or /readyz?backends=all\n";
      return response;
    }
    const std::string why = not_ready(*asked);
    response.status = why.empty() ? 200 : 503;
    response.body = why.empty() ? "ok\n" : why + "\n";
    return response;
  };
}

}  // namespace starling
