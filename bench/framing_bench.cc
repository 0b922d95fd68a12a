// Benchmarks of reading lines and PROXY headers, which every session begins with.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "protocols/frames/line_reader.h"
#include "protocols/proxy/proxy_header.h"

namespace starling {
namespace {

constexpr size_t kMaxLine = 2048;

// Lines of range(0) octets that arrive whole.
void LinesWhole(benchmark::State& state) {
  constexpr int kLines = 64;
  const std::string line = std::string(static_cast<size_t>(state.range(0)) - 2, 'x') + "\r\n";
  std::string text;
  for (int i = 0; i < kLines; ++i) text += line;
  for (auto _ : state) {
    LineReader reader(kMaxLine);
    ByteView left = AsBytes(text);
    while (!left.empty()) {
      const LineReader::Line found = reader.Next(left);
      if (found.status != LineReader::Status::kLine) {
        state.SkipWithError("no line");
        break;
      }
      left = left.subspan(found.consumed);
    }
  }
  state.SetItemsProcessed(state.iterations() * kLines);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(LinesWhole)->Arg(16)->Arg(80)->Arg(1000);

// A line that arrives octet by octet: the time must be proportional to its length, not to
// its square.
void LineByOctets(benchmark::State& state) {
  const std::string line = std::string(static_cast<size_t>(state.range(0)) - 2, 'x') + "\r\n";
  for (auto _ : state) {
    LineReader reader(kMaxLine);
    LineReader::Line found;
    for (size_t size = 1; size <= line.size(); ++size) {
      found = reader.Next(AsBytes(line).first(size));
    }
    if (found.status != LineReader::Status::kLine) state.SkipWithError("no line");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(LineByOctets)->Arg(80)->Arg(1000);

Endpoint V4(uint8_t last, uint16_t port) {
  Endpoint endpoint;
  endpoint.family = Endpoint::Family::kV4;
  endpoint.ip = {192, 0, 2, last};
  endpoint.port = port;
  return endpoint;
}

// The PROXY header, which a session sends to its backend first.
ProxyInfo Info() {
  ProxyInfo info;
  info.source = V4(1, 40'000);
  info.destination = V4(2, 993);
  info.tls = ProxyTls{.version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256"};
  info.alpn = "imap";
  info.sni = "mail.example.org";
  info.unique_id = "0123456789abcdef";
  return info;
}

void ProxyV1Write(benchmark::State& state) {
  const ProxyInfo info = Info();
  for (auto _ : state) {
    uint8_t space[kMaxProxyV1];
    Writer out{std::span<uint8_t>(space)};
    if (!WriteProxyV1(info, out)) state.SkipWithError("no room");
    benchmark::DoNotOptimize(space);
  }
}
BENCHMARK(ProxyV1Write);

void ProxyV2Write(benchmark::State& state) {
  const ProxyInfo info = Info();
  for (auto _ : state) {
    uint8_t space[kMaxProxyV2Out];
    Writer out{std::span<uint8_t>(space)};
    if (!WriteProxyV2(info, ProxyTlvs{}, out)) state.SkipWithError("no room");
    benchmark::DoNotOptimize(space);
  }
}
BENCHMARK(ProxyV2Write);

void Parse(benchmark::State& state, ByteView header) {
  for (auto _ : state) {
    const ProxyParse parsed = ParseProxy(header);
    if (parsed.status != ProxyParse::Status::kDone) state.SkipWithError("not a header");
    benchmark::DoNotOptimize(parsed.source.port);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(header.size()));
}

void ProxyV1Parse(benchmark::State& state) {
  uint8_t space[kMaxProxyV1];
  Writer out{std::span<uint8_t>(space)};
  if (!WriteProxyV1(Info(), out)) state.SkipWithError("no room");
  Parse(state, out.written());
}
BENCHMARK(ProxyV1Parse);

void ProxyV2Parse(benchmark::State& state) {
  uint8_t space[kMaxProxyV2Out];
  Writer out{std::span<uint8_t>(space)};
  if (!WriteProxyV2(Info(), ProxyTlvs{}, out)) state.SkipWithError("no room");
  Parse(state, out.written());
}
BENCHMARK(ProxyV2Parse);

}  // namespace
}  // namespace starling
