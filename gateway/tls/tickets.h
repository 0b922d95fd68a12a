// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), shared by all workers:
// random keys that rotate, or the keys of a file that several gateways share. For tls/
// only; others use the functions in tls_context.h.
#pragma once

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gateway/sync/mutex.h"
#include "gateway/tls/tls_context.h"

namespace starling {

struct TicketKey {
  std::array<uint8_t, 16> name = {};
  std::array<uint8_t, 32> secret = {};
};

class TicketKeys {
 public:
  // The keys to use until `valid_until` (monotonic seconds). The first one seals; all of
  // them open.
  struct List {
    ~List();
    std::vector<TicketKey> keys;
    int64_t valid_until = 0;
  };

  // Random keys. Every `period` seconds a new key seals; its predecessor still opens.
  explicit TicketKeys(int64_t period) : period_(period) {}
  // Exactly these keys, which never rotate by themselves.
  explicit TicketKeys(std::vector<TicketKey> keys);
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  // Rotates the keys if that is due at `now` (monotonic seconds), and returns a copy. Any
  // thread. Takes a lock, so callers keep the copy until it expires.
  List Get(int64_t now);
  TicketKeysInfo Info();
  // `before` holds what the same file contained earlier. If the same key still seals, it
  // keeps its age.
  void Follow(TicketKeys& before);
  // How long (seconds) a session sealed now lives: not longer than some key opens it.
  int64_t lifetime() const { return period_; }

 private:
  void Renew(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t period_;  // seconds; for keys of a file, how long a session may live
  Mutex mutex_;
  List list_ ABSL_GUARDED_BY(mutex_);
  TicketKeysInfo info_ ABSL_GUARDED_BY(mutex_);
};

// Seals and opens tickets for one context. Each sealer keeps a copy of the keys and so
// takes the lock only once per period. For one thread.
class TicketSealer {
 public:
  explicit TicketSealer(std::shared_ptr<TicketKeys> keys) : keys_(std::move(keys)) {}

  // Loads the keys that are valid at `now` (monotonic seconds). False when memory ran
  // out.
  bool Refresh(int64_t now);

  // Key name, nonce and tag.
  static constexpr size_t kOverhead = 16 + 12 + 16;

  // False if `out` is too small or the library failed.
  bool Seal(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out, size_t& out_len);
  // False if the ticket is foreign, too old or damaged.
  bool Open(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out, size_t& out_len);
  int64_t lifetime() const { return keys_->lifetime(); }

 private:
  static constexpr int64_t kNotLoaded = std::numeric_limits<int64_t>::min();

  struct Slot {
    std::array<uint8_t, 16> name = {};
    bssl::ScopedEVP_AEAD_CTX aead;
  };

  std::shared_ptr<TicketKeys> keys_;
  std::list<Slot> slots_;  // cannot be moved
  int64_t valid_until_ = kNotLoaded;
};

}  // namespace starling
