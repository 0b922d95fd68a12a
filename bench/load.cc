// The load generator: one thread that makes a TLS gateway work and measures what
// that costs it. bench/README.md says how its figures are meant.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "bench/load_options.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr char kHelp[] =
    "load COMMAND [ADDRESS] [OPTION VALUE]...\n"
    "\n"
    "  backend ADDRESS     an echo server: 127.0.0.1:PORT or unix:PATH\n"
    "    --proxy 1         each connection begins with a PROXY v2 header\n"
    "  handshakes ADDRESS  TLS 1.3 handshakes (X25519), connect to close, in a closed loop\n"
    "    --resume 1        with a ticket of the first connection\n"
    "  echo ADDRESS        messages there and back on sessions that stay\n"
    "    --octets N        of a message, 1 to 16384 (512)\n"
    "  idle ADDRESS        memory of sessions with nothing on them; needs --pid\n"
    "    --sessions N      (2000)\n"
    "  floor               the server's side of a handshake by BoringSSL alone, in memory\n"
    "\n"
    "  --connections N     at once (32)\n"
    "  --seconds S         measured (3), after --warm-up S (0.3)\n"
    "  --pid PID           of the gateway, whose CPU or memory is read\n"
    "  --backend-pid PID   of the echo server, which counts as part of the load\n"
    "\n"
    "Results are lines `name=value`; lines with # are remarks.\n";

constexpr size_t kMaxOctets = 16'384;

bool SetOption(LoadOptions& options, std::string_view name, const char* value) {
  char* end = nullptr;
  const double number = std::strtod(value, &end);
  if (end == value || *end != 0 || number < 0) return false;
  const auto count = static_cast<size_t>(number);
  if (name == "--connections" && count > 0) {
    options.connections = count;
  } else if (name == "--octets" && count > 0 && count <= kMaxOctets) {
    options.octets = count;
  } else if (name == "--sessions" && count > 0) {
    options.sessions = count;
  } else if (name == "--seconds" && number > 0) {
    options.seconds = number;
  } else if (name == "--warm-up") {
    options.warm_up = number;
  } else if (name == "--resume") {
    options.resume = count != 0;
  } else if (name == "--proxy") {
    options.proxy = count != 0;
  } else if (name == "--pid") {
    options.pid = static_cast<pid_t>(count);
  } else if (name == "--backend-pid") {
    options.backend_pid = static_cast<pid_t>(count);
  } else {
    return false;
  }
  return true;
}

struct Command {
  std::string_view name;
  bool has_address;
  int (*run)(const LoadOptions& options);
};

constexpr Command kCommands[] = {
    {"backend", true, RunBackend}, {"handshakes", true, RunHandshakes}, {"echo", true, RunEcho},
    {"idle", true, RunIdle},       {"floor", false, RunFloor},
};

int Misused(const std::string& what) {
  std::fprintf(stderr, "load: %s\n\n%s", what.c_str(), kHelp);
  return 2;
}

int Main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    LoadOptions options;
    int next = 2;
    if (command.has_address) {
      if (argc <= next) return Misused("an address is missing");
      auto address = SocketAddress::Parse(argv[next++]);
      if (!address.ok()) return Misused(std::string(address.status().message()));
      options.address = *address;
    }
    for (; next < argc; next += 2) {
      if (next + 1 == argc || !SetOption(options, argv[next], argv[next + 1])) {
        return Misused(std::string("not understood: ") + argv[next]);
      }
    }
    RaiseDescriptorLimit();
    return command.run(options);
  }
  return Misused(argc > 1 ? "no such command: " + std::string(name) : "a command is missing");
}

}  // namespace
}  // namespace starling::bench

int main(int argc, char** argv) { return starling::bench::Main(argc, argv); }
