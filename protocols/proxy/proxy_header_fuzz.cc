// Fuzzes a load balancer's header with any octets, in any pieces. If the header is good,
// the fuzzer writes what it read, and reading that must give the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "protocols/proxy/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using starling::ProxyParse;
  starling::ByteView in(data, size);
  ProxyParse whole = starling::ParseProxy(in);
  if (whole.status == ProxyParse::Status::kBad && whole.error.empty()) std::abort();
  if (whole.consumed > size) std::abort();

  // Pieces must give the same result as the whole: the parser decides nothing before the
  // last octet of the header, and a bad header stays bad.
  for (size_t part = 0; part < std::min<size_t>(size, 600); ++part) {
    ProxyParse some = starling::ParseProxy(in.first(part));
    if (some.status == ProxyParse::Status::kDone && part < whole.consumed) std::abort();
    if (some.status == ProxyParse::Status::kBad && whole.status != ProxyParse::Status::kBad) {
      std::abort();
    }
  }
  if (whole.status != ProxyParse::Status::kDone ||
      whole.source.family == starling::Endpoint::Family::kNone) {
    return 0;
  }

  starling::ProxyInfo info;
  info.source = whole.source;
  info.destination = whole.destination;
  info.sni = starling::AsText(in.first(whole.consumed));
  std::vector<uint8_t> memory(starling::kMaxProxyV2Out);
  starling::Writer writer(memory);
  if (!starling::WriteProxyV2(info, {}, writer)) std::abort();
  ProxyParse again = starling::ParseProxy(writer.written());
  if (again.status != ProxyParse::Status::kDone || again.source != whole.source ||
      again.destination != whole.destination || again.consumed != writer.size()) {
    std::abort();
  }
  return 0;
}
