// What the load generator was asked to do: its command line as plain data.
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

// What `load backend` does with a connection.
enum class Speak : uint8_t { kEcho, kSmtp, kLmtp, kImap, kPop3, kManageSieve, kSink, kSource };

// Of `load bulk`, seen from the client.
enum class Direction : uint8_t { kUp, kDown, kBoth };

// The certificate a client can verify, and that of `floor`.
enum class Key : uint8_t { kAny, kEc, kRsa };

struct LoadOptions {
  SocketAddress address;    // of the gateway; of the server behind it with `backend`
  size_t connections = 32;  // at once
  size_t octets = 512;      // of one echoed message
  size_t idle = 0;          // further sessions that stay beside those of `echo`
  size_t sessions = 2'000;  // idle ones
  size_t churn = 0;         // sessions that come and go before those
  double seconds = 3;       // measured
  double warm_up = 0.3;     // seconds before that
  double rate = 0;          // a second, of an open loop; 0: closed loop
  bool resume = false;      // handshakes by ticket
  bool proxy = false;       // the backend swallows a PROXY v2 header
  bool nagle = false;       // what is small waits for an acknowledgement of what went before
  uint16_t tls = TLS1_3_VERSION;
  uint16_t group = SSL_GROUP_X25519;
  Key key = Key::kAny;
  Speak speak = Speak::kEcho;
  Direction direction = Direction::kUp;
  std::string starttls;           // the protocol; empty: TLS from the first octet
  std::string protocol = "imap";  // of `mail`
  std::string alpn;               // named by clients; empty: none
  std::vector<pid_t> pids;        // of the gateway; none: its CPU and memory are not read
  pid_t backend_pid = 0;          // of the backend, which counts as load; 0: not read
};

// Sets the option `name` (with its dashes). False if it or its value is not understood.
bool SetOption(LoadOptions& options, std::string_view name, std::string_view value);

// The commands. Each returns the exit code of the program.
int RunBackend(const LoadOptions& options);
int RunHandshakes(const LoadOptions& options);
int RunMail(const LoadOptions& options);
int RunEcho(const LoadOptions& options);
int RunFirstAnswer(const LoadOptions& options);
int RunBulk(const LoadOptions& options);
int RunIdle(const LoadOptions& options);
int RunFloor(const LoadOptions& options);

}  // namespace starling::bench
