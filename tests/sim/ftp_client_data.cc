// The data connection of a simulated FTP client.
#include <algorithm>
#include <cerrno>

#include "tests/sim/ftp_client.h"

namespace starling::sim {

// --- making it ---

// For an active transfer. The port is one of the client's own host.
void FtpClient::Listen() {
  CloseListener();
  Endpoint at = plan_.endpoint;
  at.port = world_.FreshAddress(false).endpoint().port;
  listener_ = world_.Listen(SocketAddress::From(at), 1);
  world_.WatchListener(listener_, [this] {
    const SocketId socket = world_.Accept(listener_);
    if (socket == kNoSocket || data_ != nullptr) return;
    TakeData(socket);
    CloseListener();
  });
  const std::string host = std::to_string(at.ip[0]) + "." + std::to_string(at.ip[1]) + "." +
                           std::to_string(at.ip[2]) + "." + std::to_string(at.ip[3]);
  if (transfer().setup == FtpSetup::kEprt) {
    return Say("EPRT |1|" + host + "|" + std::to_string(at.port) + "|");
  }
  std::string numbers =
      host + "." + std::to_string(at.port >> 8) + "." + std::to_string(at.port & 255);
  std::replace(numbers.begin(), numbers.end(), '.', ',');
  Say("PORT " + numbers);
}

void FtpClient::CloseListener() {
  if (listener_ >= 0) world_.CloseListener(std::exchange(listener_, -1));
}

// For a passive transfer.
void FtpClient::ConnectData(uint16_t port) {
  Endpoint at = plan_.address.endpoint();
  at.port = port;
  const SocketAddress address = SocketAddress::From(at);
  SocketId socket;
  if (transfer().stranger) {
    if (world_.Connect(address, world_.FreshEndpoint(), &socket) == 0) {
      stranger_ = std::make_unique<SecureWire>(world_);
      stranger_->Attach(socket, [] {});
      stranger_->BeginTls();
    }
  }
  Endpoint from = plan_.endpoint;
  from.port = world_.FreshEndpoint().port;
  if (world_.Connect(address, from, &socket) == 0) return TakeData(socket);
  // The gateway waits no longer: its reply says so.
  data_over_ = true;
}

void FtpClient::TakeData(SocketId socket) {
  data_ = std::make_unique<SecureWire>(world_);
  data_->Attach(socket, [this] { StepData(); });
  if (begun_ || transfer().early) UseData();
}

void FtpClient::UseData() {
  if (std::exchange(using_, true)) return StepData();
  if (transfer().deed == FtpDeed::kClientWithoutTls) {
    data_->Send("this is plaintext, and not a ClientHello at all\r\n");
  } else {
    data_->BeginTls();
  }
  StepData();
}

// --- using it ---

void FtpClient::StepData() {
  if (stage_ != Stage::kTransfer || data_ == nullptr || !data_->open() || data_over_) return;
  const size_t limit = world_.rng().Chance(200) ? world_.rng().Between(1, 2'000) : 65'536;
  if (data_->Receive(limit)) world_.After(std::chrono::microseconds(40), [this] { StepData(); });
  transfer().upload ? Upload() : Download();
  if (stage_ != Stage::kTransfer || data_ == nullptr || data_over_ || !data_->over()) return;
  EndData();
  MaybeOver();
}

void FtpClient::Download() {
  FtpTransfer& now = transfer();
  if (!data_->secure()) return;
  const std::string plain = std::exchange(data_->in, {});
  if (!checker_.Feed(plain) || (checker_.known() && checker_.id() != now.id)) {
    return world_.Fail(plan_.Name(now) + ": its client got a foreign octet at " +
                       std::to_string(checker_.position()));
  }
  now.got = checker_.position();
  now.got_end = data_->ended();
  if (now.got >= now.until()) Deed();
}

void FtpClient::Upload() {
  FtpTransfer& now = transfer();
  if (!data_->in.empty() && data_->secure()) {
    return world_.Fail(plan_.Name(now) + ": octets came the wrong way");
  }
  // A client that has begun before 150 sends only behind it.
  if (!begun_ || !data_->secure() || data_->over()) return;
  const bool stops = now.deed != FtpDeed::kServerResets && now.deed != FtpDeed::kWhole;
  const uint64_t until = stops ? now.until() : now.octets;
  while (now.sent < until && data_->flushed() && !data_->failed()) {
    const size_t size = std::min(DrawPortion(world_.rng()), until - now.sent);
    data_->Send(CodedOctets(kClientMark, now.id, now.sent, size));
    now.sent += size;
  }
  if (now.sent < until || !data_->flushed() || data_->failed()) return;
  if (stops) return Deed();
  if (now.sent == now.octets && !std::exchange(now.sent_end, true)) data_->End();
}

void FtpClient::Deed() {
  if (deed_done_) return;
  switch (transfer().deed) {
    case FtpDeed::kAborted:
      deed_done_ = true;
      if (replied_) return;
      ++replies_due_;
      return Say("ABOR");
    case FtpDeed::kClientResets:
      deed_done_ = data_over_ = true;
      plan_.broken |= data_->was_broken();
      data_->Reset();
      return MaybeOver();
    case FtpDeed::kClientTruncates:
      deed_done_ = true;
      return data_->Truncate();
    case FtpDeed::kClientVanishes:
      deed_done_ = true;
      plan_.vanished = true;
      data_->Reset();
      control_.Reset();
      return Done();
    default:
      return;
  }
}

void FtpClient::EndData() {
  data_over_ = true;
  if (data_ == nullptr) return;
  plan_.broken |= data_->was_broken();
  if (data_->ended()) data_->End();
  data_->Close();
}

}  // namespace starling::sim
