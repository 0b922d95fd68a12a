// The limits of the memory that queues take, in the gateway and in the kernel.
// Not for: the numbers of the gateway's own buffers (rows_limits.cc), and what the kernel holds for
// a listener's clients (rows_listener_limits.cc).
#include "gateway/config/access.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

constexpr Option kRows[] = {
    {.section = Section::kLimits,
     .key = "queued_bytes",
     .type = OptionType::kSize,
     .min = 0,
     .max = uint64_t{1} << 40,
     .doc = "The memory of the output buffers of all workers together: octets that wait for a "
            "client or a server. At memory_relief percent of it the gateway ends sessions whose "
            "peer takes nothing; at memory_refusal percent it refuses new ones. 0: no limit.",
     .set = SetNumber<&GlobalLimits::queued_bytes>,
     .get = GetNumber<&GlobalLimits::queued_bytes>},
    {.section = Section::kLimits,
     .key = "memory_relief",
     .type = OptionType::kNumber,
     .unit = "percent",
     .min = 0,
     .max = 100,
     .doc = "The gateway looks once a second at the memory of its control group (version 1 or 2, "
            "with all groups around it), at the kernel's memory for TCP (net.ipv4.tcp_mem), and at "
            "queued_bytes. From this many percent of a limit on, it ends sessions whose client or "
            "server has not taken for 30 seconds what waits for it: first those that are stuck "
            "longest, and of those that are stuck for a minute or more the heaviest. 0: never.",
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
