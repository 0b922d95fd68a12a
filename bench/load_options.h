// The command line of the load generator as plain data, and its commands.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/io/socket_address.h"

namespace starling::bench {

// How `load backend` treats a connection.
enum class Speak : uint8_t { kEcho, kSmtp, kLmtp, kImap, kPop3, kManageSieve, kSink, kSource };

// The direction of `load bulk` as the client sees it.
enum class Direction : uint8_t { kUp, kDown, kBoth };

// The type of key that a client supports, and that of the certificate for `floor`.
enum class Key : uint8_t { kAny, kEc, kRsa };

struct LoadOptions {
  SocketAddress address;    // the gateway's; with `backend`, the one to listen on
  size_t connections = 32;  // simultaneous ones
  size_t octets = 512;      // of an echoed message
  size_t idle = 0;          // additional idle sessions for `echo`
  size_t sessions = 2'000;  // idle sessions for `idle`
  size_t source = 0;        // N: connections come from 127.0.0.N; 0: from 16 addresses
  size_t churn = 0;         // sessions that come and go before them
  double seconds = 3;       // how long to measure
  double warm_up = 0.3;     // seconds to run before measuring
  double rate = 0;          // operations a second in an open loop; 0: closed loop
  bool resume = false;      // resume sessions by ticket
  bool proxy = false;       // the backend strips a PROXY v2 header
  bool nagle = false;       // leave Nagle's algorithm on
  uint16_t tls = TLS1_3_VERSION;
  uint16_t group = SSL_GROUP_X25519;
  Key key = Key::kAny;
  Speak speak = Speak::kEcho;
  Direction direction = Direction::kUp;
  std::string starttls;           // the protocol; empty: TLS from the first octet
  std::string protocol = "imap";  // for `mail`
  std::string alpn;               // that clients offer; empty: none
  std::vector<pid_t> pids;        // of the gateway; empty: do not read its CPU and memory
  pid_t backend_pid = 0;          // of the backend, which counts as load; 0: do not read it
};

// Sets the option `name` (with its dashes). False if the option or its value is invalid.
bool SetOption(LoadOptions& options, std::string_view name, std::string_view value);

// The commands. Each returns the program's exit code.
int RunBackend(const LoadOptions& options);
int RunHandshakes(const LoadOptions& options);
int RunMail(const LoadOptions& options);
int RunEcho(const LoadOptions& options);
int RunFirstAnswer(const LoadOptions& options);
int RunBulk(const LoadOptions& options);
int RunIdle(const LoadOptions& options);
int RunFloor(const LoadOptions& options);

}  // namespace starling::bench
