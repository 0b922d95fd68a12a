// A TLS client in memory for tests, the simulation and benchmarks: BoringSSL's
// own client with strings of ciphertext on both sides. Certificates are taken as
// they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace starling {

// A session that can be resumed; shared by copies of the options.
class TestSession;

struct TestClientOptions {
  uint16_t min_version = 0x0303;  // wire values; 0x0301 is TLS 1.0
  uint16_t max_version = 0x0304;
  std::vector<uint16_t> groups;      // supported_groups; empty: the library's own
  std::vector<uint16_t> key_shares;  // groups a share is sent for; empty: the library's choice
  std::vector<uint16_t> signature_algorithms;  // those the client can verify; empty: all
  std::string tls12_ciphers;                   // OpenSSL's notation; empty: all
  std::vector<uint16_t> tls13_ciphers;         // empty: all
  std::vector<std::string> alpn;
  std::string sni;
  bool fallback_scsv = false;
  bool reject_certificate = false;  // with the alert unknown_ca
  std::string certificate;          // to be sent where the server asks: PEM, leaf first
  std::string key;                  // PEM
  // Certificate compression (RFC 8879), as on the wire.
  std::vector<uint16_t> certificate_compression;
  std::shared_ptr<TestSession> session;
};

class TestClient {
 public:
  explicit TestClient(const TestClientOptions& options);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  // Ciphertext from the server, appended by the caller; what has been read is gone.
  std::string input;
  // Ciphertext to the server, taken away by the caller.
  std::string output;

  // Goes on with handshake and reading as far as `input` reaches. False once failed.
  bool Step();
  bool connected() const;
  bool failed() const { return failed_; }
  // The library's reason, such as "TLSV1_ALERT_PROTOCOL_VERSION".
  const std::string& error() const { return error_; }
  bool closed() const { return closed_; }  // close_notify has come

  // Seals into `output`, once connected.
  void Write(std::string_view plain);
  // Plaintext received; emptied by the caller as it likes.
  std::string received;
  void CloseNotify();
  // Asks for new keys of both sides (TLS 1.3).
  void KeyUpdate();
  // Asks for another handshake within the connection (TLS 1.2 with AES-128-GCM).
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
  std::string ocsp_response() const;  // stapled; always asked for
  bool leaf_is_rsa() const;
  // The latest ticket; null if none has come.
  std::shared_ptr<TestSession> session() const;
  // What the server's certificates were compressed with; 0: they were not.
  uint16_t compressed_with() const;
  // How many authorities the server named; -1: it asked for no certificate.
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
