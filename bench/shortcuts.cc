#include "bench/shortcuts.h"

#include <openssl/curve25519.h>
#include <openssl/evp.h>
#include <openssl/mlkem.h>

#include <algorithm>
#include <cstdint>

namespace starling::bench {

// The linker's names (--wrap): calls of F reach __wrap_F, and __real_F is the original.

void RealX25519(uint8_t public_value[32], uint8_t private_key[32]) asm("__real_X25519_keypair");
void X25519Pair(uint8_t public_value[32], uint8_t private_key[32]) asm("__wrap_X25519_keypair");

void RealMlKem(uint8_t* public_key, uint8_t* seed,
               MLKEM768_private_key* private_key) asm("__real_MLKEM768_generate_key");
void MlKemPair(uint8_t* public_key, uint8_t* seed,
               MLKEM768_private_key* private_key) asm("__wrap_MLKEM768_generate_key");

int RealVerify(EVP_MD_CTX* context, const uint8_t* signature, size_t signature_size,
               const uint8_t* data, size_t size) asm("__real_EVP_DigestVerify");
int Verify(EVP_MD_CTX* context, const uint8_t* signature, size_t signature_size,
           const uint8_t* data, size_t size) asm("__wrap_EVP_DigestVerify");

namespace {

bool taken = false;

struct X25519Keys {
  uint8_t public_value[32];
  uint8_t private_key[32];
};

struct MlKemKeys {
  uint8_t public_key[MLKEM768_PUBLIC_KEY_BYTES];
  MLKEM768_private_key private_key;
};

}  // namespace

void X25519Pair(uint8_t public_value[32], uint8_t private_key[32]) {
  if (!taken) return RealX25519(public_value, private_key);
  static const X25519Keys kKeys = [] {
    X25519Keys made;
    RealX25519(made.public_value, made.private_key);
    return made;
  }();
  std::copy_n(kKeys.public_value, 32, public_value);
  std::copy_n(kKeys.private_key, 32, private_key);
}

void MlKemPair(uint8_t* public_key, uint8_t* seed, MLKEM768_private_key* private_key) {
  // Only without a seed, which TLS does not use.
  if (!taken || seed != nullptr) return RealMlKem(public_key, seed, private_key);
  static const MlKemKeys kKeys = [] {
    MlKemKeys made;
    RealMlKem(made.public_key, nullptr, &made.private_key);
    return made;
  }();
  std::copy_n(kKeys.public_key, MLKEM768_PUBLIC_KEY_BYTES, public_key);
  *private_key = kKeys.private_key;
}

int Verify(EVP_MD_CTX* context, const uint8_t* signature, size_t signature_size,
           const uint8_t* data, size_t size) {
  return taken ? 1 : RealVerify(context, signature, signature_size, data, size);
}

void TakeShortcuts() { taken = true; }

}  // namespace starling::bench
