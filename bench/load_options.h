// What the load generator was asked to do: its command line as plain data.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "gateway/io/socket_address.h"

namespace starling::bench {

struct LoadOptions {
  SocketAddress address;    // of the gateway; of the echo server with `backend`
  size_t connections = 32;  // at once
  size_t octets = 512;      // of one echoed message
  size_t sessions = 2'000;  // idle ones
  double seconds = 3;       // measured
  double warm_up = 0.3;     // seconds before that
  bool resume = false;      // handshakes by ticket
  bool proxy = false;       // the echo server swallows a PROXY v2 header
  pid_t pid = 0;            // of the gateway; 0: its CPU and memory are not read
  pid_t backend_pid = 0;    // of the echo server, which counts as load; 0: not read
};

// The commands. Each returns the exit code of the program.
int RunBackend(const LoadOptions& options);
int RunHandshakes(const LoadOptions& options);
int RunEcho(const LoadOptions& options);
int RunIdle(const LoadOptions& options);
int RunFloor(const LoadOptions& options);

}  // namespace starling::bench
