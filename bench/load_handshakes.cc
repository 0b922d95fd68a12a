// `load handshakes` and `load mail`: visits without a dialogue, and with that of a mail
// client.
#include <cstdio>

#include "bench/load_options.h"
#include "bench/meter.h"
#include "bench/visits.h"

namespace starling::bench {

namespace {

int Run(const LoadOptions& options, const char* name, const Script* script) {
  Visits visits(options, script);
  if (options.resume && !visits.FetchTicket()) {
    std::fprintf(stderr, "load: the gateway sent no ticket\n");
    return 1;
  }
  visits.Begin();
  visits.RunFor(options.warm_up);
  visits.Reset();
  Meter meter(options);
  meter.Start();
  visits.RunFor(options.seconds);
  meter.Stop();
  meter.Print({.name = name}, static_cast<double>(visits.done()));
  if (options.rate > 0) std::printf("rate=%.0f\n", options.rate);
  visits.Print();
  return visits.done() > 0 ? 0 : 1;
}

}  // namespace

int RunHandshakes(const LoadOptions& options) { return Run(options, "handshakes", nullptr); }

int RunMail(const LoadOptions& options) {
  return Run(options, "visits", MailScript(options.protocol));
}

}  // namespace starling::bench
