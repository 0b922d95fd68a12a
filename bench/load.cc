// The load generator: one thread that makes a TLS gateway work and measures what
// that costs it. bench/README.md says how its figures are meant.
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
    "                      TERM ends it, with lines of what it did\n"
    "    --speak WHAT      echo (default); smtp, imap, pop3, lmtp, managesieve: answers\n"
    "                      clients of the protocol; sink: swallows; source: sends without end\n"
    "    --proxy 1         each connection begins with a PROXY v2 header\n"
    "  handshakes ADDRESS  TLS handshakes, from connect to close\n"
    "    --resume 1        with a ticket of the first connection\n"
    "  mail ADDRESS        the same with mail in between\n"
    "    --protocol P      imap (default): log in, select, idle, fetch, log out;\n"
    "                      smtp: EHLO, AUTH, one mail of 4 KiB, QUIT\n"
    "  first-answer ADDRESS  from the end of a handshake to the first answer, one connection\n"
    "                      after the other, with Nagle's algorithm on: TLS 1.3 and 1.2, full\n"
    "                      and resumed, a quarter of the seconds each\n"
    "    --alpn NAME       named by the client\n"
    "  echo ADDRESS        messages there and back on sessions that stay\n"
    "    --octets N        of a message, 1 to 16384 (512)\n"
    "    --idle N          so many further sessions are opened first and stay idle (0)\n"
    "  bulk ADDRESS        as many octets as go through\n"
    "    --direction D     up (default; backend: sink), down (source), both (echo)\n"
    "  idle ADDRESS        memory of sessions with nothing on them; needs --pid, of a gateway\n"
    "                      that has done nothing else\n"
    "    --sessions N      (2000)\n"
    "    --churn N         after so many others came and went (0)\n"
    "  floor               the server's side of a handshake by BoringSSL alone, in memory\n"
    "\n"
    "  --tls V             1.3 (default) or 1.2, nothing else is offered; AES-128-GCM always\n"
    "  --group G           x25519 (default), mlkem768 (X25519MLKEM768), p256\n"
    "  --key K             ec, rsa or any (default) as the certificate's\n"
    "  --starttls P        smtp, imap, pop3, lmtp, managesieve: its dialogue before TLS\n"
    "  --connections N     at once (32)\n"
    "  --rate N            so many a second are begun whatever becomes of them, and times count\n"
    "                      from when each was due; 0 (default): each follows the one before\n"
    "  --seconds S         measured (3), after --warm-up S (0.3)\n"
    "  --pid PID[,PID]...  of the gateway, whose CPU or memory is read\n"
    "  --backend-pid PID   of the backend, which counts as part of the load\n"
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
        return Misused(std::string("not understood: ") + argv[next]);
      }
    }
    RaiseDescriptorLimit();
    // An open loop's waits end when they should, not up to 50 us later.
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    return command.run(options);
  }
  return Misused(argc > 1 ? "no such command: " + std::string(name) : "a command is missing");
}

}  // namespace
}  // namespace starling::bench

int main(int argc, char** argv) { return starling::bench::Main(argc, argv); }
