// Fuzzes the loader with any octets as a file. If they load, -T prints them, and the output
// must load to the same configuration.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/config/loader.h"
#include "gateway/config/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using starling::LoadResult;
  const starling::LoadEnvironment environment = {.hostname = "host.example", .cpus = 2};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const LoadResult first = starling::LoadConfig(text, "fuzz", environment);
  for (const starling::Problem& problem : first.errors) {
    if (problem.mark.line < 1 || problem.mark.column < 1) std::abort();
    if (problem.text.find('\n') != std::string::npos) std::abort();
  }
  if (!first.ok()) return 0;
  if (first.config.listeners.empty() || first.config.tls.certificates.empty()) std::abort();

  const std::string printed = starling::EffectiveYaml(first.config);
  const LoadResult again = starling::LoadConfig(printed, "fuzz", environment);
  if (!again.ok() || starling::EffectiveYaml(again.config) != printed) std::abort();
  return 0;
}
