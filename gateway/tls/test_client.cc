#include "gateway/tls/test_client.h"

#include <brotli/decode.h>
#include <openssl/aead.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace starling {

class TestSession {
 public:
  bssl::UniquePtr<SSL_SESSION> session;
};

// The strings that the BIO reads and writes; it has read `consumed` octets of the input.
struct TestClientPipe {
  std::string& input;
  std::string& output;
  size_t consumed = 0;
};

struct TestClient::Impl {
  TestClientPipe pipe;
  bssl::UniquePtr<SSL_CTX> ctx;
  bssl::UniquePtr<SSL> ssl;
  std::shared_ptr<TestSession> ticket;
  bool reject_certificate = false;
  uint16_t compressed_with = 0;
  int authorities = -1;
};

namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "test client: %s failed\n", what);
  std::abort();
}

int ReadInput(BIO* bio, char* out, int len) {
  BIO_clear_retry_flags(bio);
  auto* pipe = static_cast<TestClientPipe*>(BIO_get_data(bio));
  if (pipe->consumed == pipe->input.size()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t n = std::min(pipe->input.size() - pipe->consumed, static_cast<size_t>(len));
  std::memcpy(out, pipe->input.data() + pipe->consumed, n);
  pipe->consumed += n;
  return static_cast<int>(n);
}

int WriteOutput(BIO* bio, const char* in, int len) {
  BIO_clear_retry_flags(bio);
  auto* pipe = static_cast<TestClientPipe*>(BIO_get_data(bio));
  pipe->output.append(in, static_cast<size_t>(len));
  return len;
}

long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "test client");
    BIO_meth_set_read(m, ReadInput);
    BIO_meth_set_write(m, WriteOutput);
    BIO_meth_set_ctrl(m, Control);
    return m;
  }();
  return method;
}

std::string AlpnList(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    list.push_back(static_cast<char>(name.size()));
    list += name;
  }
  return list;
}

void Configure(SSL* ssl, const TestClientOptions& options) {
  Check(SSL_set_min_proto_version(ssl, options.min_version), "minimum version");
  Check(SSL_set_max_proto_version(ssl, options.max_version), "maximum version");
  if (!options.groups.empty()) {
    Check(SSL_set1_group_ids(ssl, options.groups.data(), options.groups.size()), "groups");
  }
  if (!options.key_shares.empty()) {
    Check(SSL_set1_client_key_shares(ssl, options.key_shares.data(), options.key_shares.size()),
          "key shares");
  }
  if (!options.signature_algorithms.empty()) {
    Check(SSL_set_verify_algorithm_prefs(ssl, options.signature_algorithms.data(),
                                         options.signature_algorithms.size()),
          "signature algorithms");
  }
  if (!options.tls12_ciphers.empty()) {
    Check(SSL_set_strict_cipher_list(ssl, options.tls12_ciphers.c_str()), "TLS 1.2 ciphers");
  }
  if (!options.tls13_ciphers.empty()) {
    Check(SSL_set1_tls13_ciphers(ssl, options.tls13_ciphers.data(), nullptr,
                                 options.tls13_ciphers.size()),
          "TLS 1.3 ciphers");
  }
  if (!options.alpn.empty()) {
    const std::string list = AlpnList(options.alpn);
    Check(SSL_set_alpn_protos(ssl, reinterpret_cast<const uint8_t*>(list.data()), list.size()) == 0,
          "ALPN");
  }
  if (!options.sni.empty()) {
    Check(SSL_set_tlsext_host_name(ssl, options.sni.c_str()), "SNI");
  }
  if (options.fallback_scsv) SSL_set_mode(ssl, SSL_MODE_SEND_FALLBACK_SCSV);
  if (options.session != nullptr) {
    Check(SSL_set_session(ssl, options.session->session.get()), "session");
  }
}

// The library calls this as soon as the server has requested a certificate.
int UseCertificate(SSL* ssl, void*) {
  auto* impl = static_cast<TestClient::Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const STACK_OF(CRYPTO_BUFFER)* names = SSL_get0_server_requested_CAs(ssl);
  impl->authorities = names == nullptr ? 0 : static_cast<int>(sk_CRYPTO_BUFFER_num(names));
  return 1;
}

void SetCertificate(SSL_CTX* ctx, const TestClientOptions& options) {
  SSL_CTX_set_cert_cb(ctx, UseCertificate, nullptr);
  if (options.certificate.empty()) return;
  const auto bio_of = [](const std::string& text) {
    return bssl::UniquePtr<BIO>(
        BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
  };
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
  std::vector<CRYPTO_BUFFER*> chain;
  const auto certs = bio_of(options.certificate);
  while (bssl::UniquePtr<X509> cert{PEM_read_bio_X509(certs.get(), nullptr, nullptr, nullptr)}) {
    uint8_t* der = nullptr;
    const int size = i2d_X509(cert.get(), &der);
    owned.emplace_back(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr));
    OPENSSL_free(der);
    chain.push_back(owned.back().get());
  }
  ERR_clear_error();
  bssl::UniquePtr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(bio_of(options.key).get(), nullptr, nullptr, nullptr));
  Check(SSL_CTX_set_chain_and_key(ctx, chain.data(), chain.size(), key.get(), nullptr),
        "certificate");
}

template <uint16_t kAlgorithm>
int Decompress(SSL* ssl, CRYPTO_BUFFER** out, size_t size, const uint8_t* in, size_t in_size) {
  auto* impl = static_cast<TestClient::Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  impl->compressed_with = kAlgorithm;
  uint8_t* data = nullptr;
  bssl::UniquePtr<CRYPTO_BUFFER> buffer(CRYPTO_BUFFER_alloc(&data, size));
  bool ok = false;
  if (kAlgorithm == TLSEXT_cert_compression_zlib) {
    uLongf got = size;
    ok = uncompress(data, &got, in, in_size) == Z_OK && got == size;
  } else {
    size_t got = size;
    ok = BrotliDecoderDecompress(in_size, in, &got, data) == BROTLI_DECODER_RESULT_SUCCESS &&
         got == size;
  }
  *out = ok ? buffer.release() : nullptr;
  return ok;
}

void SetCompression(SSL_CTX* ctx, const TestClientOptions& options) {
  for (const uint16_t algorithm : options.certificate_compression) {
    const bool zlib = algorithm == TLSEXT_cert_compression_zlib;
    Check(SSL_CTX_add_cert_compression_alg(ctx, algorithm, nullptr,
                                           zlib ? Decompress<TLSEXT_cert_compression_zlib>
                                                : Decompress<TLSEXT_cert_compression_brotli>),
          "compression");
  }
}

}  // namespace

TestClient::TestClient(const TestClientOptions& options)
    : impl_(new Impl{.pipe = {input, output}}) {
  impl_->ctx.reset(SSL_CTX_new(TLS_with_buffers_method()));
  impl_->reject_certificate = options.reject_certificate;
  SSL_CTX* ctx = impl_->ctx.get();
  SSL_CTX_set_app_data(ctx, impl_.get());
  SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, [](SSL* ssl, uint8_t* alert) {
    *alert = SSL_AD_UNKNOWN_CA;
    const auto* impl = static_cast<const Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    return impl->reject_certificate ? ssl_verify_invalid : ssl_verify_ok;
  });
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, [](SSL* ssl, SSL_SESSION* session) {
    auto* impl = static_cast<Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    impl->ticket = std::make_shared<TestSession>();
    impl->ticket->session.reset(session);
    return 1;
  });
  SetCertificate(ctx, options);
  SetCompression(ctx, options);
  impl_->ssl.reset(SSL_new(ctx));
  Configure(impl_->ssl.get(), options);
  SSL_enable_ocsp_stapling(impl_->ssl.get());
  BIO* bio = BIO_new(Method());
  BIO_set_data(bio, &impl_->pipe);
  BIO_set_init(bio, 1);
  SSL_set_bio(impl_->ssl.get(), bio, bio);
  SSL_set_connect_state(impl_->ssl.get());
}

TestClient::~TestClient() = default;

void TestClient::Failed(int ret) {
  const int error = SSL_get_error(impl_->ssl.get(), ret);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  if (error == SSL_ERROR_ZERO_RETURN) {
    closed_ = true;
    return;
  }
  failed_ = true;
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  error_ = reason == nullptr ? "UNKNOWN" : reason;
  ERR_clear_error();
}

bool TestClient::Step() {
  const bool ok = Advance();
  input.erase(0, std::exchange(impl_->pipe.consumed, 0));
  return ok;
}

bool TestClient::Advance() {
  if (failed_) return false;
  SSL* ssl = impl_->ssl.get();
  ERR_clear_error();
  if (!connected()) {
    const int ret = SSL_do_handshake(ssl);
    if (ret != 1) Failed(ret);
    if (!connected()) return !failed_;
  }
  char plain[16384];
  int n = 0;
  while ((n = SSL_read(ssl, plain, sizeof(plain))) > 0) {
    received.append(plain, static_cast<size_t>(n));
  }
  Failed(n);
  return !failed_;
}

bool TestClient::connected() const { return SSL_is_init_finished(impl_->ssl.get()) != 0; }

void TestClient::Write(std::string_view plain) {
  ERR_clear_error();
  Check(SSL_write(impl_->ssl.get(), plain.data(), static_cast<int>(plain.size())) ==
            static_cast<int>(plain.size()),
        "writing");
}

void TestClient::CloseNotify() {
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
}

void TestClient::KeyUpdate() {
  ERR_clear_error();
  Check(SSL_key_update(impl_->ssl.get(), SSL_KEY_UPDATE_REQUESTED), "KeyUpdate");
  Check(SSL_write(impl_->ssl.get(), "", 0) == 0, "KeyUpdate");
}

void TestClient::Renegotiate() {
  // RFC 5246 section 6.3: key and salt of either side; RFC 5288 section 3: the nonce.
  constexpr size_t kKey = 16, kSalt = 4, kExplicit = 8;
  uint8_t block[2 * (kKey + kSalt)];
  SSL* ssl = impl_->ssl.get();
  Check(cipher() == SSL_CIPHER_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 &&
            SSL_get_key_block_len(ssl) == sizeof(block) &&
            SSL_generate_key_block(ssl, block, sizeof(block)),
        "key block");
  // The beginning of a ClientHello suffices: the server must refuse it.
  constexpr uint8_t kHello[] = {SSL3_MT_CLIENT_HELLO, 0, 0, 2, 3, 3};
  const uint64_t sequence = SSL_get_write_sequence(ssl);
  uint8_t nonce[kSalt + kExplicit], header[13], record[5 + kExplicit + sizeof(kHello) + 16];
  std::memcpy(nonce, block + 2 * kKey, kSalt);
  for (size_t i = 0; i < kExplicit; ++i) {
    header[i] = nonce[kSalt + i] = static_cast<uint8_t>(sequence >> (8 * (kExplicit - 1 - i)));
  }
  const uint8_t type[] = {SSL3_RT_HANDSHAKE, 3, 3, 0};
  std::memcpy(header + 8, type, sizeof(type));
  header[12] = sizeof(kHello);
  std::memcpy(record, type, sizeof(type));
  record[4] = sizeof(record) - 5;
  std::memcpy(record + 5, nonce + kSalt, kExplicit);
  bssl::ScopedEVP_AEAD_CTX aead;
  size_t size = 0;
  Check(EVP_AEAD_CTX_init(aead.get(), EVP_aead_aes_128_gcm(), block, kKey,
                          EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr) &&
            EVP_AEAD_CTX_seal(aead.get(), record + 5 + kExplicit, &size, sizeof(kHello) + 16, nonce,
                              sizeof(nonce), kHello, sizeof(kHello), header, sizeof(header)),
        "sealing");
  output.append(reinterpret_cast<const char*>(record), sizeof(record));
}

uint16_t TestClient::version() const { return SSL_version(impl_->ssl.get()); }

uint16_t TestClient::cipher() const {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(impl_->ssl.get());
  return cipher == nullptr ? 0 : SSL_CIPHER_get_protocol_id(cipher);
}

uint16_t TestClient::group() const { return SSL_get_group_id(impl_->ssl.get()); }
bool TestClient::resumed() const { return SSL_session_reused(impl_->ssl.get()) == 1; }
bool TestClient::hello_retry() const { return SSL_used_hello_retry_request(impl_->ssl.get()) == 1; }
bool TestClient::extended_master_secret() const {
  return SSL_get_extms_support(impl_->ssl.get()) == 1;
}

std::string TestClient::alpn() const {
  const uint8_t* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(impl_->ssl.get(), &name, &size);
  return std::string(reinterpret_cast<const char*>(name), size);
}

std::string TestClient::ocsp_response() const {
  const uint8_t* data = nullptr;
  size_t size = 0;
  SSL_get0_ocsp_response(impl_->ssl.get(), &data, &size);
  return size == 0 ? "" : std::string(reinterpret_cast<const char*>(data), size);
}

size_t TestClient::chain_length() const {
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(impl_->ssl.get());
  return chain == nullptr ? 0 : sk_CRYPTO_BUFFER_num(chain);
}

std::string TestClient::leaf_der() const {
  if (chain_length() == 0) return {};
  const CRYPTO_BUFFER* leaf =
      sk_CRYPTO_BUFFER_value(SSL_get0_peer_certificates(impl_->ssl.get()), 0);
  return std::string(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(leaf)),
                     CRYPTO_BUFFER_len(leaf));
}

bool TestClient::leaf_is_rsa() const {
  const uint16_t algorithm = SSL_get_peer_signature_algorithm(impl_->ssl.get());
  return SSL_get_signature_algorithm_key_type(algorithm) == EVP_PKEY_RSA;
}

std::shared_ptr<TestSession> TestClient::session() const { return impl_->ticket; }

uint16_t TestClient::compressed_with() const { return impl_->compressed_with; }
int TestClient::authorities() const { return impl_->authorities; }

bool TestClient::ticket_allows_early_data() const {
  return impl_->ticket != nullptr && SSL_SESSION_early_data_capable(impl_->ticket->session.get());
}

}  // namespace starling
