#include "bench/bare_handshake.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace starling::bench {

void Require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::abort();
}

BareServer::BareServer(const std::string& cert, const std::string& key)
    : context_(SSL_CTX_new(TLS_with_buffers_method())) {
  bssl::UniquePtr<BIO> cert_pem(BIO_new_mem_buf(cert.data(), static_cast<ptrdiff_t>(cert.size())));
  bssl::UniquePtr<BIO> key_pem(BIO_new_mem_buf(key.data(), static_cast<ptrdiff_t>(key.size())));
  bssl::UniquePtr<X509> x509(PEM_read_bio_X509(cert_pem.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<EVP_PKEY> pkey(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
  Require(x509 != nullptr && pkey != nullptr, "certificate");
  uint8_t* der = nullptr;
  const int size = i2d_X509(x509.get(), &der);
  bssl::UniquePtr<CRYPTO_BUFFER> leaf(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr));
  OPENSSL_free(der);
  CRYPTO_BUFFER* chain[] = {leaf.get()};
  Require(SSL_CTX_set_chain_and_key(context_.get(), chain, 1, pkey.get(), nullptr), "key");
  SSL_CTX_set_num_tickets(context_.get(), 1);
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
}

BareServer::Connection::Connection(BareServer& server) : ssl_(SSL_new(server.context_.get())) {
  in_ = BIO_new(BIO_s_mem());
  out_ = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in_, -1);
  SSL_set_bio(ssl_.get(), in_, out_);
  SSL_set_accept_state(ssl_.get());
}

bool BareServer::Connection::Handshake(const std::string& in, std::string& out) {
  BIO_write(in_, in.data(), static_cast<int>(in.size()));
  const int ret = SSL_do_handshake(ssl_.get());
  Require(ret == 1 || SSL_get_error(ssl_.get(), ret) == SSL_ERROR_WANT_READ, "bare handshake");
  Drain(out);
  return ret == 1;
}

void BareServer::Connection::Write(const std::string& plain, std::string& out) {
  Require(SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())) > 0, "bare write");
  Drain(out);
}

void BareServer::Connection::Drain(std::string& out) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO_mem_contents(out_, &data, &size);
  out.assign(reinterpret_cast<const char*>(data), size);
  BIO_reset(out_);
}

}  // namespace starling::bench
