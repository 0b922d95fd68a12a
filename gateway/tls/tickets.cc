#include "gateway/tls/tickets.h"

#include <openssl/mem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace starling {
namespace {

constexpr size_t kNameSize = 16;
constexpr size_t kNonceSize = 12;

void Renew(TicketKey& key) {
  RAND_bytes(key.name.data(), key.name.size());
  RAND_bytes(key.secret.data(), key.secret.size());
}

}  // namespace

std::shared_ptr<TicketKeys> MakeTicketKeys() { return std::make_shared<TicketKeys>(); }

TicketKeys::~TicketKeys() { OPENSSL_cleanse(&pair_, sizeof(pair_)); }

TicketKeys::Pair TicketKeys::Get(int64_t now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!made_ || now >= pair_.valid_until) {
    // After a pause longer than a period the old key is no longer good either.
    if (!made_ || now - pair_.valid_until >= kTicketKeySeconds) {
      Renew(pair_.previous);
    } else {
      pair_.previous = pair_.current;
    }
    Renew(pair_.current);
    pair_.valid_until = now + kTicketKeySeconds;
    made_ = true;
  }
  return pair_;
}

bool TicketSealer::Load(const TicketKey& key, Slot& slot) {
  slot.name = key.name;
  slot.aead.Reset();
  return EVP_AEAD_CTX_init(slot.aead.get(), EVP_aead_aes_256_gcm(), key.secret.data(),
                           key.secret.size(), EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr) == 1;
}

bool TicketSealer::Refresh(int64_t now) {
  if (now < valid_until_) return true;
  TicketKeys::Pair pair = keys_->Get(now);
  const bool ok = Load(pair.current, current_) && Load(pair.previous, previous_);
  valid_until_ = ok ? pair.valid_until : kNotLoaded;
  OPENSSL_cleanse(&pair, sizeof(pair));
  return ok;
}

bool TicketSealer::Seal(int64_t now, std::span<const uint8_t> in, std::span<uint8_t> out,
                        size_t& out_len) {
  if (!Refresh(now) || out.size() < in.size() + kOverhead) return false;
  uint8_t* nonce = out.data() + kNameSize;
  std::memcpy(out.data(), current_.name.data(), kNameSize);
  RAND_bytes(nonce, kNonceSize);
  size_t sealed = 0;
  if (EVP_AEAD_CTX_seal(current_.aead.get(), nonce + kNonceSize, &sealed,
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
  const auto named = [&](const Slot& slot) {
    return std::equal(slot.name.begin(), slot.name.end(), in.begin());
  };
  const Slot* slot = named(current_) ? &current_ : named(previous_) ? &previous_ : nullptr;
  if (slot == nullptr) return false;
  const std::span<const uint8_t> sealed = in.subspan(kNameSize + kNonceSize);
  return EVP_AEAD_CTX_open(slot->aead.get(), out.data(), &out_len, out.size(),
                           in.data() + kNameSize, kNonceSize, sealed.data(), sealed.size(),
                           in.data(), kNameSize) == 1;
}

}  // namespace starling
