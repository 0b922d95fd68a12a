// The limits of the memory that queues take, in the gateway and in the kernel.
// Not for: the numbers of the gateway's own buffers (rows_limits.cc), and what the kernel holds for
// a listener's clients (rows_listener_limits.cc).
#include "gateway/config/access.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

constexpr std::string_view kAuto[] = {"auto"};

std::string DefaultQueued() { return "auto"; }

std::vector<Complaint> SetQueued(const OptionTarget& target, const OptionValue& value) {
  target.config->limits.queued_bytes = value.text.empty() ? value.number : kAutoQueued;
  return {};
}

// Nothing where it follows the limits of memory.
std::optional<OptionValue> GetQueued(const OptionTarget& target) {
  if (target.config->limits.queued_bytes == kAutoQueued) return std::nullopt;
  return GetNumber<&GlobalLimits::queued_bytes>(target);
}

constexpr Option kRows[] = {
    {.section = Section::kLimits,
     .key = "queued_bytes",
     .type = OptionType::kSize,
     .choices = kAuto,
     .min = 0,
     .max = uint64_t{1} << 40,
     .doc = "The memory of the output buffers of all workers together: octets that wait for a "
            "client or a server. Each worker has an equal part. A worker that has used "
            "memory_relief percent of its part stops receiving for its relays until peers take "
            "what waits, and ends sessions whose peer takes nothing, first those of the source "
            "that keeps most octets waiting: the sessions that have been stuck for a second, and "
            "if the whole part is used, any of them. At memory_refusal percent of the total the "
            "gateway refuses new clients. auto: a quarter of the smallest limit of the control "
            "group, RLIMIT_DATA and RLIMIT_AS, at most 1 GiB; the rest is for idle sessions, TLS "
            "and the kernel. 0: no limit.",
     .sample = "auto",
     .default_text = DefaultQueued,
     .set = SetQueued,
     .get = GetQueued},
    {.section = Section::kLimits,
     .key = "memory_relief",
     .type = OptionType::kNumber,
     .unit = "percent",
     .min = 0,
     .max = 100,
     .doc = "The gateway looks once a second, and more often when memory becomes scarce, at the "
            "memory of its control group (version 1 or 2, with all groups around it), at the "
            "kernel's memory for TCP (net.ipv4.tcp_mem), and at queued_bytes. From this many "
            "percent of a limit on, it ends sessions whose client or server has not taken for 30 "
            "seconds what waits for it: first those that are stuck longest, and of those that are "
            "stuck for a minute or more the heaviest. From memory_refusal percent on, a second is "
            "enough, and sessions of the source that keeps most octets waiting end first. 0: "
            "never.",
     .set = SetNumber<&GlobalLimits::memory_relief>,
     .get = GetNumber<&GlobalLimits::memory_relief>},
    {.section = Section::kLimits,
     .key = "memory_refusal",
     .type = OptionType::kNumber,
     .unit = "percent",
     .min = 0,
     .max = 100,
     .doc = "From this many percent of such a limit on, the gateway tells new clients in their "
            "protocol to come back later. 0: never.",
     .set = SetNumber<&GlobalLimits::memory_refusal>,
     .get = GetNumber<&GlobalLimits::memory_refusal>},
    {.section = Section::kLimits,
     .key = "server_unsent",
     .type = OptionType::kSize,
     .min = 0,
     .max = 1 << 30,
     .applies = Applies::kRestart,
     .doc = "As unsent, for the connections to servers over TCP, and for FTP's data connections to "
            "clients.",
     .set = SetNumber<&GlobalLimits::server_unsent>,
     .get = GetNumber<&GlobalLimits::server_unsent>},
    {.section = Section::kLimits,
     .key = "server_send_buffer",
     .type = OptionType::kSize,
     .min = 0,
     .max = 1 << 30,
     .applies = Applies::kRestart,
     .doc = "As send_buffer, for the same connections as server_unsent.",
     .set = SetNumber<&GlobalLimits::server_send_buffer>,
     .get = GetNumber<&GlobalLimits::server_send_buffer>},
    {.section = Section::kLimits,
     .key = "server_receive_buffer",
     .type = OptionType::kSize,
     .min = 0,
     .max = 1 << 30,
     .applies = Applies::kRestart,
     .doc = "As receive_buffer, for the same connections. A server in the same network or on the "
            "same machine loses nothing by 256KiB.",
     .set = SetNumber<&GlobalLimits::server_receive_buffer>,
     .get = GetNumber<&GlobalLimits::server_receive_buffer>},
};

}  // namespace

std::span<const Option> MemoryRows() { return kRows; }

}  // namespace starling
