// The load generator: one thread that loads a TLS gateway and measures the gateway's
// costs. bench/README.md explains the figures.
#include <sys/prctl.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "bench/load_options.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr char kHelp[] =
    "load COMMAND [ADDRESS] [OPTION VALUE]...\n"
    "\n"
    "  backend ADDRESS     the server behind the gateway: 127.0.0.1:PORT or unix:PATH;\n"
    "                      TERM ends it; then it prints what it did\n"
    "    --speak WHAT      echo (default); smtp, imap, pop3, lmtp, managesieve: speaks\n"
    "                      the protocol; sink: discards; source: sends without end\n"
    "    --proxy 1         expects a PROXY v2 header on each connection\n"
    "  handshakes ADDRESS  TLS connections, from connect to close\n"
    "    --resume 1        resume the session of the first connection\n"
    "  mail ADDRESS        the same with a mail dialogue in between\n"
    "    --protocol P      imap (default): log in, select, idle, fetch, log out;\n"
    "                      smtp: EHLO, AUTH, one mail of 4 KiB, QUIT\n"
    "  first-answer ADDRESS  time from the end of a handshake to the first answer, one\n"
    "                      connection after another, with Nagle's algorithm on: TLS 1.3 and\n"
    "                      1.2, full and resumed, a quarter of the seconds each\n"
    "    --alpn NAME       ALPN protocol that the client offers\n"
    "  echo ADDRESS        messages there and back on long-lived sessions\n"
    "    --octets N        size of a message, 1 to 16384 (512)\n"
    "    --idle N          number of additional idle sessions, opened first (0)\n"
    "  bulk ADDRESS        throughput\n"
    "    --direction D     up (default; backend: sink), down (source), both (echo)\n"
    "  idle ADDRESS        memory of idle sessions; needs --pid of a fresh gateway\n"
    "    --sessions N      number of idle sessions (2000)\n"
    "    --churn N         number of sessions that come and go before them (0)\n"
    "  floor               the server's side of a handshake by BoringSSL alone, in memory\n"
    "\n"
    "  --tls V             the only version offered: 1.3 (default) or 1.2; always AES-128-GCM\n"
    "  --group G           x25519 (default), mlkem768 (X25519MLKEM768), p256\n"
    "  --key K             key type of certificates to accept: ec, rsa or any (default)\n"
    "  --starttls P        upgrade by smtp, imap, pop3, lmtp or managesieve\n"
    "  --connections N     number of simultaneous connections (32)\n"
    "  --source N          all connections come from 127.0.0.N; else from 16 addresses\n"
    "  --rate N            open loop: begin N operations a second and measure each from when it\n"
    "                      was due; 0 (default): closed loop, each follows the previous one\n"
    "  --seconds S         how long to measure (3), after --warm-up S (0.3)\n"
    "  --pid PID[,PID]...  the gateway's processes, to read their CPU or memory\n"
    "  --backend-pid PID   the backend's process, which counts as load\n"
    "\n"
    "Results are lines `name=value`; lines with # are remarks.\n";

struct Command {
  std::string_view name;
  bool has_address;
  int (*run)(const LoadOptions& options);
};

constexpr Command kCommands[] = {
    {"backend", true, RunBackend}, {"handshakes", true, RunHandshakes},
    {"mail", true, RunMail},       {"first-answer", true, RunFirstAnswer},
    {"echo", true, RunEcho},       {"bulk", true, RunBulk},
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
        return Misused(std::string("invalid option or value: ") + argv[next]);
      }
    }
    RaiseDescriptorLimit();
    // Without this, the kernel may end an open loop's waits up to 50 us late.
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    return command.run(options);
  }
  return Misused(argc > 1 ? "no such command: " + std::string(name) : "a command is missing");
}

}  // namespace
}  // namespace starling::bench

int main(int argc, char** argv) { return starling::bench::Main(argc, argv); }
