#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

std::string SystemServers() { return "those of resolv_conf"; }

constexpr Option kRows[] = {
    {.section = Section::kTop,
     .key = "resolve",
     .type = OptionType::kSection,
     .child = Section::kResolve,
     .doc = "How the gateway resolves names of servers. It looks a name up again when its records "
            "expire; no reload is needed. /etc/hosts comes first, and then DNS, with the search "
            "domains and ndots of resolv_conf. A look-up that fails changes nothing: the last good "
            "answer stays in use."},
    {.section = Section::kResolve,
     .key = "min",
     .type = OptionType::kDuration,
     .min = 100,
     .max = 3'600'000,
     .doc = "The shortest time between two look-ups of a name, also where records have a TTL of 0.",
     .set = SetNumber<&ResolveOptions::min_ms>,
     .get = GetNumber<&ResolveOptions::min_ms>},
    {.section = Section::kResolve,
     .key = "max",
     .type = OptionType::kDuration,
     .min = 100,
     .max = 86'400'000,
     .doc = "The longest time between two look-ups of a name: a TTL of a day would keep servers "
            "that have long gone.",
     .set = SetNumber<&ResolveOptions::max_ms>,
     .get = GetNumber<&ResolveOptions::max_ms>},
    {.section = Section::kResolve,
     .key = "hold",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 86'400'000,
     .doc = "How long the last addresses of a name stay in use after the DNS server has said that "
            "the name has none (NXDOMAIN, or no record). A headless Service has none for a moment "
            "while its only pod restarts. Afterwards another program may have the address.",
     .set = SetNumber<&ResolveOptions::hold_ms>,
     .get = GetNumber<&ResolveOptions::hold_ms>},
    {.section = Section::kResolve,
     .key = "timeout",
     .type = OptionType::kDuration,
     .min = 100,
     .max = 60'000,
     .doc = "How long one look-up may take, with all of its tries. It replaces the timeout and the "
            "attempts of resolv_conf.",
     .set = SetNumber<&ResolveOptions::timeout_ms>,
     .get = GetNumber<&ResolveOptions::timeout_ms>},
    {.section = Section::kResolve,
     .key = "servers",
     .type = OptionType::kTextList,
     .unit = "IP addresses of DNS servers, with or without a port",
     .min = 0,
     .max = 8,
     .doc = "Asked in place of those that resolv_conf names.",
     .sample = "[\"192.0.2.53\", \"127.0.0.1:5353\"]",
     .off = true,
     .default_text = SystemServers,
     .set = SetList<&ResolveOptions::servers, ParseDnsServer>,
     .get = GetList<&ResolveOptions::servers>},
    {.section = Section::kResolve,
     .key = "resolv_conf",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "The file with the DNS servers, the search domains and ndots. The gateway reads it "
            "before each look-up.",
     .set = SetText<&ResolveOptions::resolv_conf, CheckPath>,
     .get = GetText<&ResolveOptions::resolv_conf>},
};

}  // namespace

std::span<const Option> ResolveRows() { return kRows; }

}  // namespace starling
