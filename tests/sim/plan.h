// The plan of one session in a simulated run, and its outcome: the driver (simulation.h)
// draws it, a client and a backend play it, and the driver judges it at the end.
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

// What the backend does on the connection of this session.
enum class BackendKind : uint8_t {
  kNormal,
  kRefuse,     // greets with a refusal and closes
  kPreauth,    // IMAP: greets as authenticated
  kGarbage,    // sends garbage instead of a greeting
  kSilent,     // accepts and says nothing
  kCloseMute,  // closes without a word
  kCloseMid,   // ends its stream early and closes
  kResetMid,   // resets amid its stream
  kNeverEnds,  // streams, and does not answer the client's end with its own
  kSickFirst,  // the first server fails before its greeting is complete, the next is well
  // Only with TLS to the backend:
  kTruncateMid,  // ends its stream early, by the end of TCP alone
  kTlsStall,     // takes the hello and does not answer
  kTlsGarbage,   // answers the hello with nonsense
  kCount,
};
inline constexpr const char* kBackendNames[] = {
    "kNormal",   "kRefuse",    "kPreauth",   "kGarbage",     "kSilent",   "kCloseMute", "kCloseMid",
    "kResetMid", "kNeverEnds", "kSickFirst", "kTruncateMid", "kTlsStall", "kTlsGarbage"};

// Special properties of the servers behind a listener.
enum class ServerKind : uint8_t { kUp, kDown, kBlackHole, kNeverAccepts };

struct ListenerSetup {
  const ListenerConfig* config = nullptr;
  SocketAddress address;
  ServerKind servers = ServerKind::kUp;
  bool proxy_in = false;
  bool proxy_out = true;  // the gateway sends the backend a PROXY header
  bool tls_out = false;   // the gateway uses TLS to the backend
};

struct SessionPlan {
  uint32_t id = 0;
  const ListenerSetup* listener = nullptr;
  ClientKind client = ClientKind::kStream;
  BackendKind backend = BackendKind::kNormal;
  Endpoint connects_from;      // the client's socket
  Endpoint endpoint;           // the client's address as the gateway sees it
  uint64_t client_octets = 0;  // of each stream, marks included
  uint64_t backend_octets = 0;
  bool client_ends_first = false;  // the backend then still sends something
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
  bool broken = false;  // the simulated network broke the connection
  uint32_t fresh_legs = 0;
  uint32_t plain_legs = 0;
  uint64_t client_got = 0;
  uint64_t backend_got = 0;
  uint64_t client_sent = 0;
  uint64_t backend_sent = 0;
  bool mail_taken = false;  // the backend got and answered the whole message
  std::string client_text;  // plaintext before the backend's stream, inside TLS
  uint32_t ends = 0;        // log records of its end
  EndReason reason = EndReason::kNone;

  bool implicit() const { return listener->config->tls == TlsMode::kImplicit; }
  // With kSickFirst: the sick server says something that is no greeting (sim_backend.cc).
  bool SickServerSpeaks() const { return id % 6 == 3 || id % 6 == 4; }
  std::string Name() const {
    return "session " + std::to_string(id) + " (" + listener->config->name + ", " +
           kClientNames[static_cast<size_t>(client)] + ", backend " +
           kBackendNames[static_cast<size_t>(backend)] + ")";
  }
};

// The sessions by client address, for the backends, and the state that clients of one
// listener share.
class Sessions {
 public:
  virtual ~Sessions() = default;
  virtual SessionPlan* ById(uint32_t id) = 0;
  virtual SessionPlan* ByEndpoint(const Endpoint& endpoint) = 0;
  // The latest ticket from this listener; may be null.
  virtual std::shared_ptr<TestSession>& Ticket(const ListenerSetup& listener) = 0;
};

}  // namespace starling::sim
