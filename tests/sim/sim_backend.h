// The servers behind the gateway. Each accepts connections and plays what the session's
// plan says: greet, refuse, stay silent, stream, close or reset midway; or, for a
// plaintext session, speak SMTP.
//
// A backend checks its input at once: a PROXY header with the true client, then the
// client's stream from its first octet, and nothing else.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/tls/tls_context.h"
#include "tests/sim/coded_stream.h"
#include "tests/sim/plan.h"
#include "tests/sim/wire.h"

namespace starling::sim {

enum class ServerTls : uint8_t { kNone, kBelieved, kStranger };

struct BackendSetup {
  SocketAddress address;
  std::string protocol;              // `protocol:` of the listener it serves
  bool proxy_header = true;          // expect a PROXY header first
  bool inside_tls = true;            // false: its clients do not use TLS
  ServerTls tls = ServerTls::kNone;  // whether the gateway uses TLS to it
  int backlog = 128;
  bool accepts = true;
  std::chrono::milliseconds serves_after{0};  // the kernel accepts, and the server comes later
  // The first line of a greeting of several comes at once, and the rest so much later.
  std::chrono::milliseconds greets_on_after{0};
  // What the server says instead of greeting and stream. Inside TLS each element is a
  // record, sent long after the previous one has arrived. Then the server ends as
  // BackendKind says: kCloseMute, kTruncateMid, or not at all.
  std::vector<std::string> script = {};
};

// The settings that all connections to a server share.
struct BackendContext {
  World& world;
  Sessions& sessions;
  const BackendSetup setup;
  std::unique_ptr<TlsContext> tls;  // null: plaintext
};

// One accepted connection.
class BackendLeg {
 public:
  virtual ~BackendLeg() = default;
};

class SimBackend {
 public:
  SimBackend(World& world, Sessions& sessions, BackendSetup setup);
  ~SimBackend();

 private:
  void AcceptAll();

  BackendContext context_;
  int os_fd_;
  std::vector<std::unique_ptr<BackendLeg>> legs_;
};

// The part of every connection that reads the PROXY header.
class HeaderReader {
 public:
  enum class Status : uint8_t { kNeedMore, kDone, kBad };
  // Removes the header from `in` and finds its session.
  Status Take(std::string& in, Sessions& sessions, World& world);
  SessionPlan* plan() const { return plan_; }

 private:
  SessionPlan* plan_ = nullptr;
};

std::unique_ptr<BackendLeg> MakeStreamLeg(const BackendContext& context, SocketId socket);
std::unique_ptr<BackendLeg> MakeMailLeg(const BackendContext& context, SocketId socket);

}  // namespace starling::sim
