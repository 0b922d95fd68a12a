// What is to happen in one session of a simulated run, and what did: drawn by
// the driver (simulation.h), played by a client and a backend, judged at the end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gateway/config/config.h"
#include "protocols/contract/endpoint.h"
#include "protocols/contract/reason.h"

namespace starling {
class TestSession;
}

namespace starling::sim {

// X(enumerator): what a client does.
#define STARLING_SIM_CLIENTS(X)                                                             \
  X(kStream)            /* upgrades where it must, then a stream each way */                \
  X(kPlainMail)         /* SMTP without TLS, a message, QUIT */                             \
  X(kMailThenUpgrade)   /* MAIL and RSET on a plaintext leg, STARTTLS, a stream each way */ \
  X(kPlainMailReset)    /* vanishes by a reset amid message data */                         \
  X(kQuit)              /* says goodbye before TLS */                                       \
  X(kLeaveEarly)        /* closes after the greeting */                                     \
  X(kResetEarly)        /* resets after the greeting */                                     \
  X(kSilent)            /* connects and says nothing */                                     \
  X(kDrip)              /* sends a command an octet every few seconds */                    \
  X(kInjectHello)       /* upgrade command and a ClientHello in one segment */              \
  X(kInjectCommand)     /* upgrade command and another command in one segment */            \
  X(kInjectLater)       /* the other command in a segment of its own, at once */            \
  X(kPlainAfterUpgrade) /* a command where the hello should be */                           \
  X(kPlainOnTls)        /* a command on an implicit TLS port */                             \
  X(kTlsOnPlain)        /* a ClientHello where a command should be */                       \
  X(kHttp)              /* an HTTP request where a command should be */                     \
  X(kOverlong)          /* a line without end */                                            \
  X(kNul)               /* a NUL in a command */                                            \
  X(kManyCommands)      /* NOOP for ever */                                                 \
  X(kHelloStall)        /* half a ClientHello */                                            \
  X(kBadHello)          /* a handshake record full of nonsense */                           \
  X(kOldTls)            /* TLS 1.1 at most */                                               \
  X(kLeaveInHandshake)  /* closes after its ClientHello */                                  \
  X(kHalfRecord)        /* a stream, then a record that it does not finish */               \
  X(kCorruptRecord)     /* a stream, then a record that was tampered with */                \
  X(kIdle)              /* a stream, then silence */                                        \
  X(kTruncate)          /* a stream, then a TCP end without close_notify */                 \
  X(kResetInRelay)      /* a stream, then a reset */                                        \
  X(kProxyBad)          /* no PROXY header where one is expected */                         \
  X(kProxyStall)        /* half a PROXY header */                                           \
  X(kProxyUntrusted)    /* a PROXY header from a source that may not */

enum class ClientKind : uint8_t {
#define X(name) name,
  STARLING_SIM_CLIENTS(X) kCount
#undef X
};
inline constexpr const char* kClientNames[] = {
#define X(name) #name,
    STARLING_SIM_CLIENTS(X)
#undef X
};

// What the backend does on the leg of that session.
enum class BackendKind : uint8_t {
  kNormal,
  kRefuse,     // greets with a refusal and closes
  kPreauth,    // IMAP: greets as authenticated
  kGarbage,    // greets with what no greeting looks like
  kSilent,     // accepts and says nothing
  kCloseMute,  // closes without a word
  kCloseMid,   // ends its stream early and closes
  kResetMid,   // resets amid its stream
  kNeverEnds,  // streams, and does not answer the client's end with its own
  // Where it is reached by TLS:
  kTruncateMid,  // ends its stream early, by the end of TCP alone
  kTlsStall,     // takes the hello and says nothing
  kTlsGarbage,   // answers the hello with nonsense
  kCount,
};
inline constexpr const char* kBackendNames[] = {
    "kNormal",   "kRefuse",   "kPreauth",   "kGarbage",     "kSilent",   "kCloseMute",
    "kCloseMid", "kResetMid", "kNeverEnds", "kTruncateMid", "kTlsStall", "kTlsGarbage"};

// What is special about the servers behind a listener.
enum class ServerKind : uint8_t { kUp, kDown, kBlackHole, kNeverAccepts };

struct ListenerSetup {
  const ListenerConfig* config = nullptr;
  SocketAddress address;
  ServerKind servers = ServerKind::kUp;
  bool proxy_in = false;
  bool proxy_out = true;  // the backend learns of the client by a header
  bool tls_out = false;   // the backend is reached by TLS
};

struct SessionPlan {
  uint32_t id = 0;
  const ListenerSetup* listener = nullptr;
  ClientKind client = ClientKind::kStream;
  BackendKind backend = BackendKind::kNormal;
  Endpoint connects_from;      // the client's socket
  Endpoint endpoint;           // who the gateway takes it for
  uint64_t client_octets = 0;  // of each stream, marks included
  uint64_t backend_octets = 0;
  bool client_ends_first = false;  // the other side then has more to say
  bool tcp_end = false;            // the client ends TCP's direction after close_notify
  bool pipelines = false;          // SMTP: commands in groups
  bool resumes = false;            // with the listener's latest ticket, if there is one
  uint32_t read_limit = 65'536;    // octets that the client reads at a time
  uint32_t start_us = 0;

  // --- what happened ---
  bool connected = false;
  bool client_done = false;
  bool tls_up = false;
  bool client_saw_end = false;  // close_notify, or the end of TCP without TLS
  bool backend_saw_end = false;
  bool broken = false;  // the network between was cut by chance
  uint32_t fresh_legs = 0;
  uint32_t plain_legs = 0;
  uint64_t client_got = 0;
  uint64_t backend_got = 0;
  uint64_t client_sent = 0;
  uint64_t backend_sent = 0;
  bool mail_taken = false;  // the whole message came and was answered
  std::string client_text;  // plaintext before the backend's stream, inside TLS
  uint32_t ends = 0;        // log records of its end
  EndReason reason = EndReason::kNone;

  bool implicit() const { return listener->config->tls == TlsMode::kImplicit; }
  std::string Name() const {
    return "session " + std::to_string(id) + " (" + listener->config->name + ", " +
           kClientNames[static_cast<size_t>(client)] + ", backend " +
           kBackendNames[static_cast<size_t>(backend)] + ")";
  }
};

// Who is who, for the backends, and what clients of one listener share.
class Sessions {
 public:
  virtual ~Sessions() = default;
  virtual SessionPlan* ById(uint32_t id) = 0;
  virtual SessionPlan* ByEndpoint(const Endpoint& endpoint) = 0;
  // The latest ticket that a client has got from that listener; may be null.
  virtual std::shared_ptr<TestSession>& Ticket(const ListenerSetup& listener) = 0;
};

}  // namespace starling::sim
