// The backends and their servers: addresses, health, places, capabilities, and the choice of
// a server for a session. Each configuration has one Backends, which the workers and the
// prober share.
//
// Not for: connecting (io/), deadlines and the PROXY header of a session (session/), probing
// servers (prober.h), or which of the servers that may be chosen is (balance.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/io/clock.h"
#include "gateway/upstream/address_slots.h"
#include "gateway/upstream/server.h"

namespace starling {

// An index into Backends::server().
using ServerId = uint32_t;
// A session keeps the servers that it has tried in a 64-bit mask.
static_assert(kMaxServers <= 64);

// From where to connect to a server of `backend`; kNone: the kernel chooses. The addresses of the
// server's family have their turns.
Endpoint SourceFor(const BackendConfig& backend, const SocketAddress& server, uint64_t turn);

class Backends {
 public:
  // Server ids follow the order of the configuration. `series` maps the names of backend
  // and server to an id that stays the same across configurations; without it, the series
  // is the server id. A backend has at most kMaxServers servers, as the loader ensures;
  // further ones are ignored. A backend with names has that many slots, all empty
  // (address_slots.h).
  using SeriesOf = std::function<uint32_t(const std::string& backend, const std::string& server)>;
  explicit Backends(const std::vector<BackendConfig>& configs, const SeriesOf& series = nullptr);
  Backends(const Backends&) = delete;
  Backends& operator=(const Backends&) = delete;

  // Shares the state of the servers that `before` has too, the slots of backends with names, and
  // its wake_fd(): so the prober of these backends hears what sessions of the earlier configuration
  // find. Call this before anybody else uses the object.
  void Inherit(const Backends& before);
  // Null for a backend without names. For the main thread.
  const std::shared_ptr<AddressSlots>& slots(uint32_t backend) const {
    return backends_[backend].slots;
  }
  // Slots have changed: the prober looks at them.
  void NoteSlots() const { Wake(); }

  size_t size() const { return backend_count_; }
  const BackendConfig& config(uint32_t backend) const { return *backends_[backend].config; }
  // One of its servers has max_sessions.
  bool limited(uint32_t backend) const { return backends_[backend].limited; }

  size_t server_count() const { return servers_.size(); }
  Server& server(ServerId id) { return *servers_[id].server; }
  const Server& server(ServerId id) const { return *servers_[id].server; }
  uint32_t BackendOf(ServerId id) const { return servers_[id].backend; }
  ServerId IdOf(uint32_t backend, int index) const {
    return backends_[backend].first + static_cast<uint32_t>(index);
  }
  std::span<Server> ServersOf(uint32_t backend) {
    return {backends_[backend].servers.get(), backends_[backend].count};
  }
  std::span<const Server> ServersOf(uint32_t backend) const {
    return {backends_[backend].servers.get(), backends_[backend].count};
  }

  // --- The choice of a server ---

  struct Request {
    uint32_t* cursor = nullptr;  // the caller's, see Choose
    uint64_t tried = 0;          // mask of indices that are out of the question
    uint64_t source = 0;         // as of Choose
    MonoTime now;
    MonoTime next_trial;   // of a server that is not prompt, if this session takes the present one
    bool retries = false;  // another server has failed it: it need not find out about slow ones
    bool waited = false;   // in the queue: before those that come now
    uint64_t spares = 0;   // so many places stay free, if the servers have limits
    // One message for each server: a server that drains, or that its name no longer has, is asked
    // as well as long as it has sessions, and limits of sessions do not matter.
    bool all = false;
  };
  struct Picked {
    int server = -1;      // an index in its backend; its place is the session's
    bool full = false;    // no place now: wait in the queue
    bool spared = false;  // with `full`: there is one for a session that need not spare so many
  };
  // Among the servers that are up, those of the lowest priority number share the sessions.
  // A server that is down, or that another session tries now, is chosen only if no other is
  // left: sessions do not wait for a trial, since without one they would try the server that is
  // down. Among servers that are up those that are prompt come before others, also before those of
  // a lower priority number, but for one session at a time that tries a slow one. Leave() gives the
  // place back.
  Picked Pick(uint32_t backend, const Request& request);
  void Leave(ServerId id) { server(id).state->sessions.Leave(); }

  // Whether Pick would at once find a server that is up, or one that is down as `present` is.
  bool HasOther(uint32_t backend, const Request& request, ServerId present) const;
  // Whether it would find one that most likely serves the session in the time that it has left, and
  // sooner than `present`, which has met the limit of a try.
  bool HasSooner(uint32_t backend, const Request& request, ServerId present,
                 const TimeLeft& left) const;

  // The queue for places. False: it is full.
  bool JoinQueue(uint32_t backend);
  void LeaveQueue(uint32_t backend) {
    backends_[backend].waiting.fetch_sub(1, std::memory_order_relaxed);
  }

  // --- Health. Any thread. ---

  // A session could not connect. Wakes the prober if the server was up before.
  void MarkDown(ServerId id);
  // A complete greeting came: the server is up, whatever was known before.
  void MarkUp(ServerId id, MonoTime now);
  // A session could connect to a server that does not greet. That ends a trial, and proves
  // nothing else.
  void ConfirmTrial(ServerId id, MonoTime now);
  // A probe's result. A server that was down gets a trial first.
  void NoteProbe(ServerId id, bool up);
  // The server did not behave as one that is up: it closed before its greeting, say. Perhaps that
  // concerned this client alone, so a probe judges. It ends a trial.
  void Suspect(ServerId id);
  // The server refused a client with a complete greeting. A probe judges, and a trial goes on with
  // the next session: a client that the server refuses must not keep it from the others.
  void NoteRefusal(ServerId id);
  // A session has waited long for a place. A probe judges the servers that have as many sessions as
  // they may have, and that are not in `tried`.
  void DoubtFull(uint32_t backend, uint64_t tried);
  // A session has met the limit of its try, or waited in vain as long as it may. A probe judges
  // whether the server is up; `trial_at` as of ServerPace.
  void NoteSlow(ServerId id, Wait wait, MonoTime trial_at);
  void NoteMute(ServerId id, Wait wait, MonoTime trial_at);
  // No port was left to connect to the server from. For the log.
  void NoteOutOfPorts(ServerId id);

  // The latest capabilities of a server of `backend`, preferably of one that is up; 0
  // before any probe has found them.
  uint64_t Capabilities(uint32_t backend) const;

  // The name of the first backend that has no server up; empty if every backend has one.
  // Servers that drain do not count: they take no new session.
  std::string_view FirstUnavailable() const;
  // No backend has a server up.
  bool NoneAvailable() const;

  // Readable after one of the calls above has found something for the prober.
  int wake_fd() const { return wakeup_->fd; }

 private:
  struct Backend {
    std::unique_ptr<const BackendConfig> config;
    std::shared_ptr<AddressSlots> slots;  // null without names
    std::shared_ptr<Server[]> servers;    // those of the slots, or its own
    uint32_t first = 0;
    uint32_t count = 0;
    bool limited = false;  // one of its servers has max_sessions
    std::atomic<uint32_t> waiting{0};
  };
  struct Tier;
  struct Wakeup {
    Wakeup();
    ~Wakeup();
    const int fd;
  };

  Tier TierOf(uint32_t backend, const Request& request, bool up, uint64_t passed_over) const;
  Tier Best(uint32_t backend, const Request& request, bool up) const;
  uint64_t PlacesKept(uint32_t backend, const Request& request) const;
  double WeightOf(const Server& server, uint32_t slow_start_ms, MonoTime now) const;
  bool IsAvailable(uint32_t backend) const;
  void AskForProbe(const Server& server, bool changed);
  void Wake() const;

  struct Place {
    Server* server = nullptr;
    uint32_t backend = 0;
  };
  void UseSlots(uint32_t backend, std::shared_ptr<AddressSlots> slots);
  void MakeServers(uint32_t backend, const SeriesOf& series);
  void Seed(uint32_t backend, const Backends& before);

  size_t backend_count_ = 0;
  std::unique_ptr<Backend[]> backends_;
  std::vector<Place> servers_;  // by id
  std::shared_ptr<const Wakeup> wakeup_;
};

}  // namespace starling
