// A TLS client in memory for tests, the simulation and benchmarks: BoringSSL's client,
// with ciphertext in strings. It accepts any certificate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace starling {

// A session for resumption; copies of the options share it.
class TestSession;

struct TestClientOptions {
  uint16_t min_version = 0x0303;  // wire values; 0x0301 is TLS 1.0
  uint16_t max_version = 0x0304;
  std::vector<uint16_t> groups;      // supported_groups; empty: the library's own
  std::vector<uint16_t> key_shares;  // groups with a key share; empty: the library's choice
  std::vector<uint16_t> signature_algorithms;  // that the client supports; empty: all
  std::string tls12_ciphers;                   // OpenSSL's notation; empty: all
  std::vector<uint16_t> tls13_ciphers;         // empty: all
  std::vector<std::string> alpn;
  std::string sni;
  bool fallback_scsv = false;
  bool reject_certificate = false;  // with the alert unknown_ca
  std::string certificate;          // sent if the server asks for one: PEM, leaf first
  std::string key;                  // PEM
  // Certificate compression algorithms (RFC 8879 section 7.3).
  std::vector<uint16_t> certificate_compression;
  std::shared_ptr<TestSession> session;
};

class TestClient {
 public:
  explicit TestClient(const TestClientOptions& options);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  // Ciphertext from the server: the caller appends, the client removes what it reads.
  std::string input;
  // Ciphertext to the server: the client appends, the caller removes.
  std::string output;

  // Continues the handshake and reading as far as `input` reaches. False after a failure.
  bool Step();
  bool connected() const;
  bool failed() const { return failed_; }
  // The library's error, such as "TLSV1_ALERT_PROTOCOL_VERSION".
  const std::string& error() const { return error_; }
  bool closed() const { return closed_; }  // close_notify has come

  // Seals into `output`. Only when connected.
  void Write(std::string_view plain);
  // The plaintext received; the caller may clear it.
  std::string received;
  void CloseNotify();
  // Requests new keys for both directions (TLS 1.3).
  void KeyUpdate();
  // Requests another handshake in this connection (TLS 1.2 with AES-128-GCM).
  void Renegotiate();

  // What was negotiated.
  uint16_t version() const;
  uint16_t cipher() const;
  uint16_t group() const;
  bool resumed() const;
  bool hello_retry() const;
  bool extended_master_secret() const;
  std::string alpn() const;
  size_t chain_length() const;
  std::string leaf_der() const;
  std::string ocsp_response() const;  // the stapled one; the client always asks for it
  bool leaf_is_rsa() const;
  // The session of the latest ticket; null before the first.
  std::shared_ptr<TestSession> session() const;
  // The algorithm that compressed the server's certificates; 0 if they came uncompressed.
  uint16_t compressed_with() const;
  // How many authorities the server named; -1 if it requested no certificate.
  int authorities() const;
  bool ticket_allows_early_data() const;

  struct Impl;

 private:
  bool Advance();
  void Failed(int ret);

  std::unique_ptr<Impl> impl_;
  bool failed_ = false;
  bool closed_ = false;
  std::string error_;
};

}  // namespace starling
