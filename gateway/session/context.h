// What sessions use of their worker. One object a worker, passed to every
// function of the pump; nothing here is shared between threads but what its own
// type says (Shard, LogRing, Backends).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/io/ring.h"
#include "gateway/io/timer_wheel.h"
#include "gateway/limits.h"
#include "gateway/log/log.h"
#include "gateway/memory/memory_share.h"
#include "gateway/metrics/metrics.h"
#include "gateway/session/admission.h"
#include "gateway/session/age_lists.h"
#include "gateway/session/places.h"
#include "gateway/session/session.h"
#include "gateway/session/session_table.h"
#include "gateway/session/worker_config.h"
#include "gateway/sources/deny_lists.h"
#include "gateway/sources/source_table.h"
#include "gateway/tls/random.h"

namespace starling {

// Storage for dialogues: as many of each protocol's size as there were at once, kept for
// the next.
class DialoguePool {
 public:
  ~DialoguePool();
  Dialogue* Make(const ProtocolRow& protocol, const DialogueOptions& options);
  void Destroy(Dialogue* dialogue);
  // Gives back what is kept.
  void Trim();

 private:
  struct Size {
    size_t octets;
    std::vector<void*> free;
  };
  std::vector<void*>& FreeOf(const ProtocolRow& protocol);

  std::vector<Size> sizes_;  // a handful
};

// The client's part of a dialogue's scratch: larger than any reply of a negotiator, smaller
// than a TLS record. The rest is the server's.
inline constexpr size_t kClientScratch = 4096;

struct WorkerContext : SideResources {
  WorkerContext(const GlobalLimits& limits_in, uint32_t index_in);

  const GlobalLimits limits;  // those that need a restart
  const uint32_t index;
  Shard* shard = nullptr;
  LogRing* log = nullptr;
  SourceTable* sources = nullptr;
  std::shared_ptr<const DenyLists> deny;  // null: nobody is denied
  int trim_fd = -1;                       // MemoryTrimmer::fd(); -1: nobody trims

  SessionTable table;
  Places places;
  AgeLists half_open;
  AgeLists half_open_again;     // the same, of sources one of whose sessions has given way lately
  AgeLists half_open_capped;    // the same, by listener instead of pool; of those with a limit
  AgeLists half_open_channels;  // data channels that wait for their connection
  AgeLists half_open_ports;     // the same, by WorkerListener::port_pool
  AgeLists half_open_served;    // those that have a place at servers with limits, by backend
  TimerWheel timers;
  DialoguePool dialogues;

  MonoTime now;                      // of this turn
  std::vector<uint32_t> ready;       // slots to pump in this turn
  std::vector<uint32_t> again;       // slots to pump in the next, which then does not wait
  std::vector<uint32_t> starved;     // slots that wait for a buffer of either kind
  bool starved_of_receives = false;  // one of them waits for a receive buffer
  size_t starved_at = 0;             // the blocks that were out when the last of them gave up
  std::vector<uint32_t> overtime;    // slots that have their place before relaying only as long
                                     // as the table is not crowded
  Admissions admissions;             // of handshakes
  uint32_t armed_accepts = 0;        // of listeners
  uint32_t waiting_channels = 0;     // data channels whose connection is still to come
  uint32_t data_sockets = 0;         // their listening sockets, and those that are about to close
  uint32_t data_port = 0;            // where in the range of ports the next one is looked for
  MonoTime relayed_at = MonoTime{};  // when a relay last had something to do
  std::vector<uint32_t> hellos;      // slots of this turn that may need the private key
  MonoTime refusal_lines_at{};       // when refusals may have all their lines in the log again
  MonoTime unheard_lines_at{};       // the same of clients that said nothing
  size_t most_sessions = 0;          // at once, since memory was given back
  RandomNumbers random;              // nobody can foretell them
  uint64_t run = 0;                  // unlike other workers' and runs', and no secret
  uint64_t next_session = 0;
  std::vector<uint8_t> scratch;  // plaintext on its way through TLS, within one call

  bool memory_short = false;  // too short for new sessions
  MemoryShare share;          // until the next look
  uint64_t sent = 0;          // octets that went to peers since the last look
  bool held = false;          // one of the starved waits because of the share
  MonoTime relief_at{};       // when stuck sessions are looked for again

  // Relays must not receive now.
  bool HoldsRelays() const { return OctetsOut() >= share.hold || sent >= share.moved; }

  // Those that wait go on when less than this is in blocks.
  uint64_t HoldsUntil() const { return share.hold - share.hold / kHeldSlackPart; }

  bool Crowded() const {
    return uint64_t{table.in_use()} * 100 >= uint64_t{limits.sessions} * limits.crowded_percent;
  }
  void Ready(Session& session) {
    if (session.queued) return;
    session.queued = true;
    ready.push_back(session.slot);
  }
  void Starve(Session& session) {
    if (session.starving) return;
    session.starving = true;
    starved.push_back(session.slot);
  }
};

inline const ListenerLimits& LimitsOf(const Session& session) {
  return session.listener->config->limits;
}

}  // namespace starling
