// One server: its address, what the configuration says of it, and what is known of it.
//
// Not for: the choice between servers (upstream.h), or who changes the addresses of a name
// (address_slots.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "gateway/io/clock.h"
#include "gateway/io/socket_address.h"
#include "gateway/limits.h"
#include "gateway/upstream/pace.h"

namespace starling {

enum class Health : uint8_t {
  kUp,
  kTrial,  // a probe succeeded, or the address is new; one session tries it before the others
  kDown,
};

// How many sessions, or probes, hold a server. While it is closed, nobody can begin to.
class Holders {
 public:
  // `most`: 0 for any number.
  bool Take(uint32_t most = 0) {
    if (most == 0) {
      if (count_.fetch_add(1, std::memory_order_acq_rel) < kClosed) return true;
      count_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    uint32_t taken = count_.load(std::memory_order_relaxed);
    while (taken < most) {
      if (count_.compare_exchange_weak(taken, taken + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
  }
  void Leave() { count_.fetch_sub(1, std::memory_order_release); }

  uint32_t count() const {
    const uint32_t count = count_.load(std::memory_order_relaxed);
    return count < kClosed ? count : 0;
  }

  // False: somebody holds it.
  bool Close() {
    uint32_t nobody = 0;
    return count_.compare_exchange_strong(nobody, kClosed, std::memory_order_acq_rel);
  }
  void Open() { count_.fetch_sub(kClosed, std::memory_order_release); }

 private:
  static constexpr uint32_t kClosed = uint32_t{1} << 31;
  std::atomic<uint32_t> count_{0};
};

// What is known of a server. The prober and the workers write it; every thread may read it.
// Configurations that have the server share it: sessions that began before a reload learn what
// the prober finds out afterwards, and count as well.
struct ServerState {
  std::atomic<Health> health{Health::kUp};  // up before the first result
  std::atomic<bool> gone{false};            // its name no longer has the address: no new sessions
  std::atomic<bool> suspected{false};       // a session asks for a probe
  std::atomic<bool> out_of_ports{false};    // a session found no port to connect from
  std::atomic<MonoTime> came_up{MonoTime::min()};
  std::atomic<MonoTime> trial_until{MonoTime::min()};  // a session has the trial until then
  ServerPace pace;
  std::atomic<uint64_t> capabilities{0};  // from the latest probe that asked; 0: unknown
  Holders probes;
  // Sessions that have a place at the server. They change far more often than the rest.
  alignas(64) Holders sessions;

  // Nothing is known but that it is new.
  void Forget() {
    suspected.store(false, std::memory_order_relaxed);
    out_of_ports.store(false, std::memory_order_relaxed);
    came_up.store(MonoTime::min(), std::memory_order_relaxed);
    trial_until.store(MonoTime::min(), std::memory_order_relaxed);
    pace.Forget();
    capabilities.store(0, std::memory_order_relaxed);
    health.store(Health::kUp, std::memory_order_relaxed);
  }
};

// A value that one thread changes while others look.
template <typename T>
class Shown {
 public:
  Shown(T value = {}) : value_(value) {}  // NOLINT: it stands for the value
  Shown& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  operator T() const { return value_.load(std::memory_order_relaxed); }  // NOLINT: the same

 private:
  std::atomic<T> value_;
};

// One server. Only its state ever changes, but for a slot that names share: it gets another address
// when nobody holds it. So only those who hold it, and the main thread, may read what is not Shown.
struct Server {
  SocketAddress address;
  std::string name;      // the address as the configuration or its name's DNS server writes it
  std::string tls_name;  // the name in its certificate, unless the configuration says another
  Shown<uint32_t> series = 0;    // its id in metrics and log
  Shown<uint32_t> occupant = 0;  // counts the addresses that the slot has had
  Shown<uint64_t> key = 0;       // of the name, for source_hash
  Shown<uint32_t> weight = 1;
  Shown<uint32_t> priority = 0;
  Shown<uint32_t> max_sessions = 0;  // 0: no limit
  Shown<bool> drains = false;
  std::shared_ptr<ServerState> state;

  bool gone() const { return state->gone.load(std::memory_order_relaxed); }
  bool up() const {
    return state->health.load(std::memory_order_relaxed) != Health::kDown && !gone();
  }
};

}  // namespace starling
