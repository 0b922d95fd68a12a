#include <algorithm>

#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"
#include "gateway/limits.h"

namespace starling {
namespace {

using namespace access;

constexpr std::string_view kAuto[] = {"auto"};
constexpr std::string_view kPinning[] = {"auto", "true", "false"};
constexpr std::string_view kLogFormats[] = {"logfmt", "json"};
constexpr std::string_view kLogSessions[] = {"debug", "all", "ended", "none"};
constexpr std::string_view kIoChoices[] = {"auto", "io_uring", "epoll"};
// The names of RingFeatures (io/uring/uring_features.h), and the words for all features and for
// none.
constexpr std::string_view kRingFeatures[] = {
    "auto", "none", "defer_taskrun", "socket_options", "fixed_fd_install", "min_wait"};

std::string DefaultHostname() { return "the system's host name"; }
std::string DefaultWorkers() { return "auto"; }
std::string DefaultRingFeatures() { return "auto"; }
std::string NoUser() { return "none: keep the current user"; }

std::string NoGroup() { return "none: the user's own group"; }
std::string NoMetrics() { return "none: no metrics listener"; }

// For `auto` the field keeps the number that the loader has set.
std::vector<Complaint> SetWorkers(const OptionTarget& target, const OptionValue& value) {
  if (!value.text.empty()) return {};
  target.config->workers = static_cast<uint32_t>(value.number);
  target.config->workers_from.clear();
  return {};
}

std::optional<OptionValue> GetWorkers(const OptionTarget& target) {
  if (target.config->workers_from.empty()) return GetNumber<&Config::workers>(target);
  return OptionValue{.text = "auto"};
}

std::vector<Complaint> SetRingFeatures(const OptionTarget& target, const OptionValue& value) {
  std::string joined;
  for (size_t i = 0; i < value.list.size(); ++i) {
    const bool word = value.list[i] == "auto" || value.list[i] == "none";
    if (word && value.list.size() > 1) {
      return {{.expected = "auto alone, none alone, or names of features", .element = i}};
    }
    joined += (joined.empty() ? "" : ",") + value.list[i];
  }
  target.config->ring_features = joined;
  return {};
}

std::optional<OptionValue> GetRingFeatures(const OptionTarget& target) {
  OptionValue value;
  std::string_view rest = target.config->ring_features;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    value.list.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return value;
}

std::vector<Complaint> SetMetricsBind(const OptionTarget& target, const OptionValue& value) {
  const absl::StatusOr<SocketAddress> address = ParseBind(value.text);
  if (!address.ok()) return {{.expected = std::string(address.status().message())}};
  target.config->metrics_bind = *address;
  return {};
}

std::optional<OptionValue> GetMetricsBind(const OptionTarget& target) {
  if (target.config->metrics_bind.length() == 0) return std::nullopt;
  OptionValue value;
  value.text = target.config->metrics_bind.ToString();
  return value;
}

constexpr Option kRows[] = {
    {.section = Section::kTop,
     .key = "hostname",
     .type = OptionType::kText,
     .unit = "a host name",
     .doc = "The host name that the gateway says in greetings and refusals. Some mail clients "
            "compare it with the certificate. A listener may have its own.",
     .sample = "mail.example.org",
     .default_text = DefaultHostname,
     .set = SetText<&Config::hostname, CheckHostname>,
     .get = GetText<&Config::hostname>},
    {.section = Section::kTop,
     .key = "workers",
     .type = OptionType::kNumber,
     .unit = "threads",
     .choices = kAuto,
     .min = 1,
     .max = kMaxWorkers,
     .applies = Applies::kRestart,
     .doc = "Each worker is one thread with its own ring, listening sockets and sessions. auto "
            "starts one for every CPU of the affinity mask, or, if that is less, as many as the "
            "CPU quota of the control group pays for (cpu.max or cpu.cfs_quota_us of the group and "
            "all groups around it), rounded up. starling -t prints the number and what limits it. "
            "The number stays the same until a restart.",
     .sample = "auto",
     .default_text = DefaultWorkers,
     .set = SetWorkers,
     .get = GetWorkers},
    {.section = Section::kTop,
     .key = "pin_workers",
     .type = OptionType::kChoice,
     .choices = kPinning,
     .applies = Applies::kRestart,
     .doc = "Keeps each worker on one CPU, so that its caches stay warm. Switch it off if other "
            "programs keep the same CPUs busy. auto keeps them there unless a CPU quota is less "
            "than the affinity mask: the scheduler shares out the quota by CPU, and so would stop "
            "some pinned workers for longer than others.",
     .set = SetNumber<&Config::pin_workers>,
     .get = GetNumber<&Config::pin_workers>},
    {.section = Section::kTop,
     .key = "user",
     .type = OptionType::kText,
     .unit = "the name of a user",
     .applies = Applies::kRestart,
     .doc = "The gateway changes to this user after the start. The user must be able to read the "
            "keys, so that a reload can read them too. The gateway keeps the right to open ports "
            "below 1024.",
     .sample = "starling",
     .off = true,
     .default_text = NoUser,
     .set = SetText<&Config::user, CheckAccount>,
     .get = GetText<&Config::user>},
    {.section = Section::kTop,
     .key = "group",
     .type = OptionType::kText,
     .unit = "the name of a group",
     .applies = Applies::kRestart,
     .doc = "The gateway changes to this group. To reach Postfix's sockets below public/ it needs "
            "the group postdrop.",
     .sample = "starling",
     .off = true,
     .default_text = NoGroup,
     .set = SetText<&Config::group, CheckAccount>,
     .get = GetText<&Config::group>},
    {.section = Section::kTop,
     .key = "io",
     .type = OptionType::kChoice,
     .choices = kIoChoices,
     .applies = Applies::kRestart,
     .doc =
         "How workers ask the kernel for what they need. io_uring takes less processor time, but "
         "many systems forbid it, most containers among them. auto: io_uring, or epoll where "
         "io_uring cannot be had; the log then says why. io_uring: the gateway does not start "
         "without it. epoll: never io_uring.",
     .set = SetNumber<&Config::io>,
     .get = GetNumber<&Config::io>},
    {.section = Section::kTop,
     .key = "ring_features",
     .type = OptionType::kTextList,
     .choices = kRingFeatures,
     .min = 1,
     .max = 4,
     .applies = Applies::kRestart,
     .doc = "The features of io_uring newer than Linux 6.1 that the gateway may use. auto: all "
            "that the kernel has. none: no newer feature. A list: only the features in it. Use "
            "this option to tell a fault of the kernel from a fault of the gateway.",
     .default_text = DefaultRingFeatures,
     .set = SetRingFeatures,
     .get = GetRingFeatures},
    {.section = Section::kTop,
     .key = "tls",
     .type = OptionType::kSection,
     .child = Section::kTls,
     .doc = "TLS towards clients, for all listeners. A listener may override it in tls_options."},
    {.section = Section::kTop,
     .key = "listeners",
     .type = OptionType::kSectionList,
     .min = 1,
     .max = kMaxListeners,
     .required = true,
     .child = Section::kListener,
     .doc = "The addresses where clients connect."},
    {.section = Section::kTop,
     .key = "backends",
     .type = OptionType::kSectionList,
     .min = 1,
     .max = kMaxBackends,
     .required = true,
     .child = Section::kBackend,
     .doc = "The servers to which the gateway passes the plaintext."},
    {.section = Section::kTop,
     .key = "metrics",
     .type = OptionType::kSection,
     .child = Section::kMetrics,
     .doc = "Serves /metrics for Prometheus, /healthz and /readyz."},
    {.section = Section::kTop,
     .key = "log",
     .type = OptionType::kSection,
     .child = Section::kLog,
     .doc = "The log, which the gateway writes to standard output."},
    {.section = Section::kTop,
     .key = "limits",
     .type = OptionType::kSection,
     .child = Section::kLimits,
     .doc = "Everything has a limit. A deadline runs from its start. Activity extends only the "
            "limits on silence. A listener may override the limits that say so."},

    {.section = Section::kMetrics,
     .key = "bind",
     .type = OptionType::kText,
     .unit = "an IP address and port",
     .applies = Applies::kRestart,
     .doc = "The address of the metrics. They hold no secrets, but clients do not need them: use "
            "loopback or a management network.",
     .sample = "127.0.0.1:9464",
     .default_text = NoMetrics,
     .set = SetMetricsBind,
     .get = GetMetricsBind},
    {.section = Section::kLog,
     .key = "format",
     .type = OptionType::kChoice,
     .choices = kLogFormats,
     .applies = Applies::kRestart,
     .doc = "logfmt suits people and grep, json suits machines. Both have the same fields.",
     .set = SetNumber<&Config::log_format>,
     .get = GetNumber<&Config::log_format>},
    {.section = Section::kLog,
     .key = "sessions",
     .type = OptionType::kChoice,
     .choices = kLogSessions,
     .doc = "all: one line when a session is established and one when it ends. ended: only the "
            "line at the end, which has every field of the other line and more. none: no lines for "
            "sessions. debug: as all, and also lines for health checks that reach no server. The "
            "metrics count sessions in any case.",
     .set = SetNumber<&Config::log_sessions>,
     .get = GetNumber<&Config::log_sessions>},
    {.section = Section::kLog,
     .key = "refusals",
     .type = OptionType::kNumber,
     .unit = "lines a second of each worker, or 0 for any number",
     .min = 0,
     .max = 1'000'000,
     .doc =
         "How many refused clients have a line of their own, after a burst of four seconds' lines, "
         "and how many that leave before they have begun TLS: a flood of them must not hide what "
         "else is there, nor fill the disk. A line that follows once a minute has the number of "
         "the others, and names the heaviest sources.",
     .set = SetNumber<&Config::log_refusals>,
     .get = GetNumber<&Config::log_refusals>},
};

}  // namespace

std::span<const Option> GeneralRows() { return kRows; }

}  // namespace starling
