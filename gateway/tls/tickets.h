// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1): random, made at
// start, replaced every 8 hours, shared by all workers of the process. A ticket
// is opened under the current key or the one before it. For tls/ only.
//
// Keys never leave the process: another gateway process does a full handshake.
#pragma once

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

#include "gateway/tls/tls_context.h"

namespace starling {

// Seconds between two keys, and the life of a session: a ticket sealed just
// before a change is still opened for as long as it lives.
inline constexpr int64_t kTicketKeySeconds = 8 * 3600;

struct TicketKey {
  std::array<uint8_t, 16> name = {};
  std::array<uint8_t, 32> secret = {};
};

class TicketKeys {
 public:
  struct Pair {
    TicketKey current;
    TicketKey previous;
    int64_t valid_until = 0;  // monotonic seconds
  };

  // Copies the keys valid at `now` (monotonic seconds), changing them if that is
  // due. Any thread; takes a lock, so callers keep the copy until `valid_until`.
  Pair Get(int64_t now);
  ~TicketKeys();

 private:
  std::mutex mutex_;
  bool made_ = false;
  Pair pair_;
};

// Seals and opens tickets for one context, with its own copy of the keys, so
// that the lock is taken once in eight hours.
class TicketSealer {
 public:
  explicit TicketSealer(std::shared_ptr<TicketKeys> keys) : keys_(std::move(keys)) {}

  // Name, nonce and tag.
  static constexpr size_t kOverhead = 16 + 12 + 16;

  // False when `out` is too small or the library failed.
  bool Seal(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out, size_t& out_len);
  // False for a ticket that is not ours, too old or damaged.
  bool Open(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out, size_t& out_len);

 private:
  static constexpr int64_t kNotLoaded = std::numeric_limits<int64_t>::min();

  struct Slot {
    std::array<uint8_t, 16> name = {};
    bssl::ScopedEVP_AEAD_CTX aead;
  };

  bool Refresh(int64_t now);
  static bool Load(const TicketKey& key, Slot& slot);

  std::shared_ptr<TicketKeys> keys_;
  Slot current_;
  Slot previous_;
  int64_t valid_until_ = kNotLoaded;
};

}  // namespace starling
