#include "gateway/tls/tickets.h"

#include <openssl/mem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "gateway/io/clock.h"

namespace starling {
namespace {

constexpr size_t kNameSize = 16;
constexpr size_t kNonceSize = 12;
// Seconds that a session lives under the keys of a file. The operator decides when to
// replace the keys; a ticket whose key is gone costs a full handshake.
constexpr int64_t kFileLifetime = 24 * 3'600;

TicketKey RandomKey() {
  TicketKey key;
  RAND_bytes(key.name.data(), key.name.size());
  RAND_bytes(key.secret.data(), key.secret.size());
  return key;
}

}  // namespace

std::shared_ptr<TicketKeys> MakeTicketKeys(int64_t period) {
  return std::make_shared<TicketKeys>(period);
}

TicketKeysInfo InfoOf(TicketKeys& keys) { return keys.Info(); }

void FollowTicketKeys(TicketKeys& keys, TicketKeys& before) { keys.Follow(before); }

TicketKeys::List::~List() { OPENSSL_cleanse(keys.data(), keys.size() * sizeof(TicketKey)); }

TicketKeys::TicketKeys(std::vector<TicketKey> keys) : period_(kFileLifetime) {
  list_.keys = std::move(keys);
  list_.valid_until = std::numeric_limits<int64_t>::max();
  info_ = {.generation = 1, .since = WallNow() / 1'000'000, .keys = list_.keys.size()};
}

TicketKeys::~TicketKeys() = default;

void TicketKeys::Renew(int64_t now) {
  // If nobody asked for keys for more than a period, the old key has expired too.
  const bool keep = !list_.keys.empty() && now - list_.valid_until < period_;
  const TicketKey previous = keep ? list_.keys.front() : RandomKey();
  OPENSSL_cleanse(list_.keys.data(), list_.keys.size() * sizeof(TicketKey));
  list_.keys = {RandomKey(), previous};
  list_.valid_until = now + period_;
  info_ = {.generation = info_.generation + 1, .since = WallNow() / 1'000'000, .keys = 2};
}

TicketKeys::List TicketKeys::Get(int64_t now) {
  const MutexLock lock(mutex_);
  if (list_.keys.empty() || now >= list_.valid_until) Renew(now);
  return list_;
}

TicketKeysInfo TicketKeys::Info() {
  const MutexLock lock(mutex_);
  return info_;
}

void TicketKeys::Follow(TicketKeys& before) {
  TicketKeysInfo known;
  std::array<uint8_t, kNameSize> sealing;
  {
    const MutexLock lock(before.mutex_);
    known = before.info_;
    sealing = before.list_.keys.front().name;
  }
  const MutexLock lock(mutex_);
  if (list_.keys.front().name == sealing) {
    info_.since = known.since;
    info_.generation = known.generation;
  } else {
    info_.generation = known.generation + 1;
  }
}

bool TicketSealer::Refresh(int64_t now) {
  if (now < valid_until_) return true;
  const TicketKeys::List list = keys_->Get(now);
  slots_.clear();
  for (const TicketKey& key : list.keys) {
    Slot& slot = slots_.emplace_back();
    slot.name = key.name;
    if (EVP_AEAD_CTX_init(slot.aead.get(), EVP_aead_aes_256_gcm(), key.secret.data(),
                          key.secret.size(), EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr) != 1) {
      valid_until_ = kNotLoaded;
      return false;
    }
  }
  valid_until_ = list.valid_until;
  return true;
}

bool TicketSealer::Seal(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out,
                        size_t& out_len) {
  if (!Refresh(now) || out.size() < in.size() + kOverhead) return false;
  uint8_t* nonce = out.data() + kNameSize;
  std::memcpy(out.data(), slots_.front().name.data(), kNameSize);
  RAND_bytes(nonce, kNonceSize);
  size_t sealed = 0;
  if (EVP_AEAD_CTX_seal(slots_.front().aead.get(), nonce + kNonceSize, &sealed,
                        out.size() - kNameSize - kNonceSize, nonce, kNonceSize, in.data(),
                        in.size(), out.data(), kNameSize) != 1) {
    return false;
  }
  out_len = kNameSize + kNonceSize + sealed;
  return true;
}

bool TicketSealer::Open(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out,
                        size_t& out_len) {
  if (in.size() < kOverhead || !Refresh(now)) return false;
  const auto slot = std::ranges::find_if(slots_, [&](const Slot& candidate) {
    return std::equal(candidate.name.begin(), candidate.name.end(), in.begin());
  });
  if (slot == slots_.end()) return false;
  const std::span<const uint8_t> sealed = in.subspan(kNameSize + kNonceSize);
  return EVP_AEAD_CTX_open(slot->aead.get(), out.data(), &out_len, out.size(),
                           in.data() + kNameSize, kNonceSize, sealed.data(), sealed.size(),
                           in.data(), kNameSize) == 1;
}

}  // namespace starling
