// `load first-answer`: the time from the end of a handshake to the first answer, with
// Nagle's algorithm on, which is the default of sockets. The client's request waits until
// the server acknowledges the client's last handshake message. A server that has nothing
// to send leaves that to its kernel, which may delay the acknowledgement by 40 ms.
//
// Not for: the cost of a connection (load_handshakes.cc).
#include <array>
#include <cstdio>
#include <string>

#include "bench/latencies.h"
#include "bench/load_options.h"
#include "bench/poller.h"
#include "bench/tls_connection.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr double kPatience = 5;  // seconds; a connection that takes longer is lost
constexpr std::array<uint8_t, 100> kQuestion{};

struct Kind {
  const char* name;
  uint16_t version;
  bool resumed;
};

constexpr Kind kKinds[] = {{"tls13_full", TLS1_3_VERSION, false},
                           {"tls13_resumed", TLS1_3_VERSION, true},
                           {"tls12_full", TLS1_2_VERSION, false},
                           {"tls12_resumed", TLS1_2_VERSION, true}};

LoadOptions OptionsOf(const LoadOptions& options, const Kind& kind) {
  LoadOptions own = options;
  own.tls = kind.version;
  own.nagle = true;
  return own;
}

// Connections of one kind, one after another.
class Visitor {
 public:
  Visitor(const LoadOptions& options, const Kind& kind)
      : kind_(kind), client_(OptionsOf(options, kind)) {}

  // The ticket comes with the answer or before it.
  bool Prepare() {
    if (!kind_.resumed) return true;
    const bool answered = Visit(nullptr);
    session_ = bssl::UpRef(client_.ticket());
    if (session_ == nullptr) std::printf("# lost: no ticket came\n");
    return answered && session_ != nullptr;
  }

  void RunFor(double seconds) {
    for (const double end = Now() + seconds; Now() < end;) {
      if (!Visit(session_.get())) {
        ++lost_;
        if (lost_ == 1) std::printf("# lost: %s: %s\n", kind_.name, connection_.error());
        continue;
      }
      answers_.Add(answered_ - opened_);
    }
    connection_.Close();
  }

  size_t lost() const { return lost_; }
  const Latencies& answers() const { return answers_; }

 private:
  using State = TlsConnection::State;

  // True if the connection succeeded as planned.
  bool Visit(SSL_SESSION* session) {
    answered_ = 0;
    bool asked = false;
    ++number_;
    connection_.Start(poller_, number_, client_, number_, session);
    for (const double end = Now() + kPatience; Now() < end;) {
      if (connection_.state() == State::kFailed) return false;
      if (connection_.state() == State::kEnded) return AsPlanned(session != nullptr);
      poller_.Wait(end - Now(), [&](uint64_t tag, bool ended) {
        if (tag == number_) connection_.Advance(ended);
      });
      if (connection_.state() != State::kOpen) continue;
      if (!asked) connection_.Write(kQuestion);
      asked = true;
      TakeAnswer();
    }
    connection_.Fail("nothing came");
    return false;
  }

  void TakeAnswer() {
    uint8_t space[512];
    while (connection_.state() == State::kOpen) {
      if (connection_.Read(space) == 0) return;
      answered_ = Now();
      opened_ = connection_.opened();
      version_ = SSL_version(connection_.ssl());
      resumed_ = connection_.resumed();
      connection_.Finish();
    }
  }

  bool AsPlanned(bool resumed) {
    const bool as_planned = answered_ > 0 && version_ == kind_.version && resumed_ == resumed;
    if (!as_planned) connection_.Fail("unexpected version or resumption");
    return as_planned;
  }

  const Kind kind_;
  TlsClient client_;
  Poller poller_;
  TlsConnection connection_;
  bssl::UniquePtr<SSL_SESSION> session_;
  uint64_t number_ = 0;
  double opened_ = 0, answered_ = 0;  // Now() at the handshake's end and at the answer
  int version_ = 0;
  bool resumed_ = false;
  size_t lost_ = 0;
  Latencies answers_;
};

}  // namespace

int RunFirstAnswer(const LoadOptions& options) {
  size_t lost = 0, answers = 0;
  for (const Kind& kind : kKinds) {
    Visitor visitor(options, kind);
    if (!visitor.Prepare()) return 1;
    visitor.RunFor(options.seconds / std::size(kKinds));
    visitor.answers().Print(kind.name, "ms", 1e3);
    lost += visitor.lost();
    answers += visitor.answers().count();
  }
  std::printf("answers=%zu\nlost=%zu\n", answers, lost);
  return answers > 0 ? 0 : 1;
}

}  // namespace starling::bench
