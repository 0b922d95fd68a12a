// Feeds arbitrary octets to the readers of DNS answers.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "gateway/resolve/dns_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using starling::Endpoint;
  for (const auto family : {Endpoint::Family::kV4, Endpoint::Family::kV6}) {
    const auto records = starling::ReadAddresses({data, size}, family);
    if (!records) continue;
    // An address takes fifteen octets of the message at least.
    if (records->addresses.size() > size / 15) std::abort();
    if (records->addresses.empty() && records->ttl_s != 0) std::abort();
  }
  const auto servers = starling::ReadSrv({data, size});
  if (!servers) return 0;
  if (servers->ttl_s > INT32_MAX) std::abort();
  if (!std::ranges::is_sorted(servers->records, {}, &starling::SrvRecord::priority)) std::abort();
  return 0;
}
