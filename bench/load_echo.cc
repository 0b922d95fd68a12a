// `load echo`: messages there and back on long-lived sessions.
#include <algorithm>
#include <cstdio>

#include "bench/load_options.h"
#include "bench/meter.h"
#include "bench/sessions.h"
#include "bench/usage.h"

namespace starling::bench {

int RunEcho(const LoadOptions& options) {
  Sessions idle(options, options.idle);
  Sessions sessions(options, options.connections);
  if (!idle.Open() || !sessions.Open()) return 1;
  sessions.KeepGoing();
  const auto run = [&](double seconds) {
    const double end = Now() + seconds;
    while (Now() < end && !sessions.failed()) sessions.Turn(std::min(0.01, end - Now()));
  };
  run(options.warm_up);
  sessions.Reset();
  Meter meter(options);
  const size_t before = sessions.returned();
  meter.Start();
  run(options.seconds);
  meter.Stop();
  idle.Turn(0);
  meter.Print({.name = "round_trips"}, static_cast<double>(sessions.returned() - before));
  if (options.rate > 0) std::printf("rate=%.0f\n", options.rate);
  std::printf("octets=%zu\nconnections=%zu\nidle=%zu\n", options.octets, options.connections,
              options.idle);
  sessions.negotiated().Print();
  sessions.latencies().Print("latency", "us", 1e6);
  return sessions.failed() || idle.failed() ? 1 : 0;
}

}  // namespace starling::bench
