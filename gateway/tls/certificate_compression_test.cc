// Tests certificate compression (RFC 8879): each message is compressed once, and the
// client gets the same certificates as without compression.
#include "gateway/tls/certificate_compression.h"

#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/limits.h"
#include "gateway/tls/credential_store.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"

namespace starling {
namespace {

using Algorithm = CompressedCertificates::Algorithm;

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Unzip(const std::string& from, size_t size) {
  std::string into(size, '\0');
  uLongf got = size;
  const int result = uncompress(reinterpret_cast<Bytef*>(into.data()), &got,
                                reinterpret_cast<const Bytef*>(from.data()), from.size());
  return result == Z_OK ? into.substr(0, got) : "not zlib";
}

std::string Unbrotli(const std::string& from, size_t size) {
  std::string into(size, '\0');
  size_t got = size;
  const auto result =
      BrotliDecoderDecompress(from.size(), reinterpret_cast<const uint8_t*>(from.data()), &got,
                              reinterpret_cast<uint8_t*>(into.data()));
  return result == BROTLI_DECODER_RESULT_SUCCESS ? into.substr(0, got) : "not brotli";
}

TEST(CompressedCertificates, OneRunForEachMessageAndAlgorithm) {
  CompressedCertificates compressed;
  const std::string message(3'000, 'c');
  const std::string other(3'000, 'd');
  for (int i = 0; i < 3; ++i) {
    const std::string* zlib = compressed.Get(Algorithm::kZlib, Bytes(message));
    ASSERT_NE(zlib, nullptr);
    EXPECT_LT(zlib->size(), 100u);
    EXPECT_EQ(Unzip(*zlib, message.size()), message);
    const std::string* brotli = compressed.Get(Algorithm::kBrotli, Bytes(message));
    ASSERT_NE(brotli, nullptr);
    EXPECT_EQ(Unbrotli(*brotli, message.size()), message);
  }
  EXPECT_EQ(compressed.runs(), 2u);
  EXPECT_EQ(Unbrotli(*compressed.Get(Algorithm::kBrotli, Bytes(other)), other.size()), other);
  EXPECT_EQ(compressed.runs(), 3u);
}

TEST(CompressedCertificates, IsBounded) {
  CompressedCertificates compressed;
  const std::string first(100, 'a');
  compressed.Get(Algorithm::kZlib, Bytes(first));
  for (size_t i = 0; i < kMaxCompressedCertificates; ++i) {
    compressed.Get(Algorithm::kZlib, Bytes("message " + std::to_string(i)));
  }
  const uint64_t before = compressed.runs();
  compressed.Get(Algorithm::kZlib, Bytes(first));
  EXPECT_EQ(compressed.runs(), before + 1) << "the first one should have been forgotten";
}

// The algorithm that the server uses for a client with these algorithms and version, and
// the size of the certificate that the client gets.
std::pair<uint16_t, size_t> Served(TlsContext& context, std::vector<uint16_t> can,
                                   uint16_t version = 0x0304) {
  TestClientOptions options;
  options.min_version = options.max_version = version;
  options.certificate_compression = std::move(can);
  TestClient client(options);
  TestServer server(context);
  EXPECT_TRUE(Exchange(client, server)) << client.error();
  return {client.compressed_with(), client.leaf_der().size()};
}

TEST(CompressionInHandshakes, AsTheClientAsks) {
  const TestCertificate made = MakeTestCertificate();
  CredentialStore store;
  const auto loaded = store.LoadPem({"test.crt", "test.key"}, made.cert, made.key);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto context = std::move(TlsContext::Create({.certificates = MakeCredentialIndex({*loaded}),
                                                     .tickets = MakeTicketKeys()}))
                           .value();
  const auto [none, size] = Served(*context, {});
  EXPECT_EQ(none, 0);
  const uint16_t zlib = 1, brotli = 2;
  EXPECT_EQ(Served(*context, {zlib}), std::pair(zlib, size));
  EXPECT_EQ(Served(*context, {zlib, brotli}), std::pair(brotli, size));
  EXPECT_EQ(Served(*context, {brotli}, 0x0303), std::pair(uint16_t{0}, size));
}

}  // namespace
}  // namespace starling
