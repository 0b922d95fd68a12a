// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), shared by all workers:
// random ones that are replaced by and by, or those of a file that several gateways
// share. For tls/ only, but for what tls_context.h says.
#pragma once

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "gateway/tls/tls_context.h"

namespace starling {

struct TicketKey {
  std::array<uint8_t, 16> name = {};
  std::array<uint8_t, 32> secret = {};
};

class TicketKeys {
 public:
  // Keys to work with until `valid_until` (monotonic seconds): the first one seals, all
  // open.
  struct List {
    ~List();
    std::vector<TicketKey> keys;
    int64_t valid_until = 0;
  };

  // Random keys; a new one every `period` seconds, and the one before still opens.
  explicit TicketKeys(int64_t period) : period_(period) {}
  // These and no others.
  explicit TicketKeys(std::vector<TicketKey> keys);
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  // A copy of the keys good at `now` (monotonic seconds), changed if that is due. Any
  // thread; takes a lock, so callers keep the copy.
  List Get(int64_t now);
  TicketKeysInfo Info();
  // `before` are what the same file held: a key that still seals keeps its age.
  void Follow(TicketKeys& before);
  // The life of a session sealed now: no longer than there is a key that opens it.
  int64_t lifetime() const { return period_; }

 private:
  void Renew(int64_t now);

  const int64_t period_;  // of a file: how long a session may live
  std::mutex mutex_;
  List list_;
  TicketKeysInfo info_;
};

// Seals and opens tickets for one context, with its own copy of the keys, so that the
// lock is taken once a period.
class TicketSealer {
 public:
  explicit TicketSealer(std::shared_ptr<TicketKeys> keys) : keys_(std::move(keys)) {}

  // Takes the keys that are good at `now` (monotonic seconds). False on lack of memory.
  bool Refresh(int64_t now);

  // Name, nonce and tag.
  static constexpr size_t kOverhead = 16 + 12 + 16;

  // False when `out` is too small or the library failed.
  bool Seal(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out, size_t& out_len);
  // False for a ticket that is not ours, too old or damaged.
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
