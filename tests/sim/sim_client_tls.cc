// The client inside TLS: the handshake, a stream in each direction, and the end.
#include <algorithm>

#include "tests/sim/sim_client.h"

namespace starling::sim {
namespace {

// Disorderly ends after a stream.
bool HasDeed(ClientKind kind) {
  switch (kind) {
    case ClientKind::kHalfRecord:
    case ClientKind::kCorruptRecord:
    case ClientKind::kIdle:
    case ClientKind::kTruncate:
    case ClientKind::kResetInRelay:
      return true;
    default:
      return false;
  }
}

}  // namespace

TestClientOptions SimClient::TlsOptions() {
  TestClientOptions options;
  options.sni = "mail.example.org";
  if (plan_.id % 5 == 0) options.max_version = 0x0303;
  if (plan_.client == ClientKind::kOldTls) {
    options.min_version = 0x0301;
    options.max_version = 0x0302;
  }
  if (plan_.resumes) options.session = sessions_.Ticket(*plan_.listener);
  const std::string_view alpn = plan_.listener->config->protocol->alpn;
  if (plan_.id % 3 == 0 && !alpn.empty()) options.alpn = {std::string(alpn)};
  return options;
}

std::string SimClient::Hello() {
  TestClient client(TlsOptions());
  client.Step();
  return client.output;
}

void SimClient::StartTls() {
  if (plan_.client == ClientKind::kBadHello) {
    stage_ = Stage::kWait;
    return wire_.Send(std::string_view("\x16\x03\x01\x00\x08nonsense", 13));
  }
  if (plan_.client == ClientKind::kHelloStall || plan_.client == ClientKind::kLeaveInHandshake) {
    const std::string hello = Hello();
    stage_ = Stage::kWait;
    if (plan_.client == ClientKind::kHelloStall)
      return wire_.Send(hello.substr(0, hello.size() / 2));
    wire_.Send(hello);
    return wire_.ShutdownWhenFlushed();
  }
  tls_ = std::make_unique<TestClient>(TlsOptions());
  tls_->Step();
  SendTls();
}

void SimClient::StepTls() {
  tls_->input += std::exchange(wire_.in, {});
  tls_->Step();
  if (tls_->connected()) plan_.tls_up = true;
  SendTls();
  TakePlaintext();
  if (stage_ != Stage::kTls) return;
  if (tls_->failed() || wire_.failed()) {
    stage_ = Stage::kWait;
    return wire_.ShutdownWhenFlushed();
  }
  if (tls_->closed()) plan_.client_saw_end = true;
  if (tls_->closed() && checker_.position() == 0) {
    // The gateway turned the client away inside TLS, or the backend said nothing.
    stage_ = Stage::kWait;
    return EndStream();
  }
  if (tls_->connected() && (!wire_.ended() || tls_->closed())) Produce();
  if (stage_ != Stage::kTls || !wire_.ended()) return;
  const bool more_to_say = !HasDeed(plan_.client) && !(stream_ended_ && wire_.flushed());
  if (!tls_->closed() || !more_to_say) Done();
}

// The backend's greeting, if the gateway passes it on, or a last message. The backend's
// stream begins with its mark.
void SimClient::TakePlaintext() {
  std::string plain = std::exchange(tls_->received, {});
  if (checker_.position() == 0) {
    const size_t mark = std::min(plain.find(kBackendMark), plain.size());
    plan_.client_text += plain.substr(0, mark);
    plain.erase(0, mark);
  }
  if (!checker_.Feed(plain) || (checker_.known() && checker_.id() != plan_.id)) {
    world_.Fail(plan_.Name() + ": its client got a foreign octet at " +
                std::to_string(checker_.position()));
    Done();
    return;
  }
  plan_.client_got = checker_.position();
}

void SimClient::Produce() {
  // The side that ends last still sends something after the other's end.
  uint64_t until = plan_.client_octets;
  if (!plan_.client_ends_first && !tls_->closed()) until = until * 3 / 4;
  while (sent_ < until && wire_.flushed() && wire_.open() && !wire_.failed()) {
    const size_t size = std::min(DrawPortion(world_.rng()), until - sent_);
    tls_->Write(CodedOctets(kClientMark, plan_.id, sent_, size));
    SendTls();
    sent_ += size;
    plan_.client_sent = sent_;
  }
  if (sent_ < plan_.client_octets || !wire_.flushed() || stream_ended_) return;
  if (HasDeed(plan_.client)) {
    // The backend has sent something, so the gateway is relaying.
    if (!deed_done_ && checker_.known()) Deed();
  } else if (plan_.client_ends_first || tls_->closed()) {
    EndStream();
  }
}

void SimClient::EndStream() {
  stream_ended_ = true;
  tls_->CloseNotify();
  SendTls();
  if (plan_.tcp_end || tls_->closed()) wire_.ShutdownWhenFlushed();
}

void SimClient::Deed() {
  deed_done_ = true;
  switch (plan_.client) {
    case ClientKind::kHalfRecord:
      tls_->Write("never finished");
      wire_.Send(std::string_view(tls_->output).substr(0, tls_->output.size() - 3));
      tls_->output.clear();
      return;
    case ClientKind::kCorruptRecord:
      tls_->Write("tampered with");
      tls_->output.back() = static_cast<char>(tls_->output.back() ^ 1);
      return SendTls();
    case ClientKind::kTruncate:
      return wire_.ShutdownWhenFlushed();
    case ClientKind::kResetInRelay:
      wire_.Reset();
      return Done();
    default:
      return;  // kIdle
  }
}

}  // namespace starling::sim
