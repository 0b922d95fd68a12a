#include "gateway/tls/certificate_compression.h"

#include <brotli/encode.h>
#include <openssl/bytestring.h>
#include <openssl/sha.h>
#include <zlib.h>

#include "gateway/limits.h"
#include "gateway/tls/tls_context_impl.h"

namespace starling {
namespace {

using Algorithm = CompressedCertificates::Algorithm;

// Higher qualities take many times as long and save only a few octets.
constexpr int kBrotliQuality = 9;

std::string Compress(Algorithm algorithm, std::span<const uint8_t> message) {
  std::string out;
  if (algorithm == Algorithm::kBrotli) {
    size_t size = BrotliEncoderMaxCompressedSize(message.size());
    out.resize(size);
    const bool ok =
        BrotliEncoderCompress(kBrotliQuality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC,
                              message.size(), message.data(), &size,
                              reinterpret_cast<uint8_t*>(out.data())) == BROTLI_TRUE;
    out.resize(ok ? size : 0);
    return out;
  }
  uLongf size = compressBound(message.size());
  out.resize(size);
  const bool ok = compress2(reinterpret_cast<Bytef*>(out.data()), &size, message.data(),
                            message.size(), Z_BEST_COMPRESSION) == Z_OK;
  out.resize(ok ? size : 0);
  return out;
}

template <Algorithm kAlgorithm>
int Callback(SSL* ssl, CBB* out, const uint8_t* in, size_t size) {
  const std::string* compressed = TlsContext::Impl::Of(ssl).compressed.Get(kAlgorithm, {in, size});
  return compressed != nullptr &&
         CBB_add_bytes(out, reinterpret_cast<const uint8_t*>(compressed->data()),
                       compressed->size());
}

}  // namespace

const std::string* CompressedCertificates::Get(Algorithm algorithm,
                                               std::span<const uint8_t> message) {
  Key key{algorithm, {}};
  SHA256(message.data(), message.size(), key.second.data());
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (entries_.size() >= kMaxCompressedCertificates) entries_.clear();
    ++runs_;
    found = entries_.emplace(key, Compress(algorithm, message)).first;
  }
  return found->second.empty() ? nullptr : &found->second;
}

bool AddCertificateCompression(SSL_CTX* ctx) {
  return SSL_CTX_add_cert_compression_alg(ctx, static_cast<uint16_t>(Algorithm::kBrotli),
                                          Callback<Algorithm::kBrotli>, nullptr) == 1 &&
         SSL_CTX_add_cert_compression_alg(ctx, static_cast<uint16_t>(Algorithm::kZlib),
                                          Callback<Algorithm::kZlib>, nullptr) == 1;
}

}  // namespace starling
