// The servers behind the gateway. Each accepts legs and plays on each what the
// session's plan says: greet, refuse, stay silent, stream, close or reset
// midway; or, on a plaintext leg, speak SMTP.
//
// What a backend sees is checked at once: a PROXY header with the true client,
// then the client's stream from its first octet, and nothing else.
#pragma once

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
  bool proxy_header = true;          // one comes first
  bool inside_tls = true;            // false: legs of clients without TLS
  ServerTls tls = ServerTls::kNone;  // how the gateway reaches it
  int backlog = 128;
  bool accepts = true;
  // What it says in place of greeting and stream, each within TLS a record of its own, and
  // sent when the one before has long arrived. Then it ends as BackendKind says: kCloseMute,
  // kTruncateMid, or not.
  std::vector<std::string> script = {};
};

// What the legs of one server are made with.
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

// The part of every leg that reads the PROXY header.
class HeaderReader {
 public:
  enum class Status : uint8_t { kNeedMore, kDone, kBad };
  // Takes the header off `in`, and looks up whose it is.
  Status Take(std::string& in, Sessions& sessions, World& world);
  SessionPlan* plan() const { return plan_; }

 private:
  SessionPlan* plan_ = nullptr;
};

std::unique_ptr<BackendLeg> MakeStreamLeg(const BackendContext& context, SocketId socket);
std::unique_ptr<BackendLeg> MakeMailLeg(const BackendContext& context, SocketId socket);

}  // namespace starling::sim
