#include "gateway/upstream/probe_tls.h"

#include <array>
#include <cstddef>

namespace starling {
namespace {

// A record and what the library says beside it.
constexpr size_t kRoom = 17'920;
constexpr size_t kPlain = 16'384;

}  // namespace

template <typename Call>
TlsResult ProbeTls::Run(std::vector<uint8_t>& out, Call call) {
  std::array<uint8_t, kRoom> room;
  for (;;) {
    TlsSession::Io io{.in = in_, .consumed = 0, .out = room, .written = 0};
    const TlsResult result = call(io);
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(io.consumed));
    out.insert(out.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(io.written));
    if (result == TlsResult::kNeedRoom) continue;
    if (result != TlsResult::kNeedInput || io.consumed == 0 || in_.empty()) return result;
  }
}

ProbeTls::Status ProbeTls::Begin(UpstreamTls& upstream, const UpstreamPeer& peer,
                                 std::vector<uint8_t>& out) {
  return session_.Connect(upstream, peer) ? Shake(out) : Status::kFailed;
}

ProbeTls::Status ProbeTls::Shake(std::vector<uint8_t>& out) {
  const TlsResult result = Run(out, [&](TlsSession::Io& io) { return session_.Handshake(io); });
  up_ = result == TlsResult::kOk;
  if (up_ || result == TlsResult::kNeedInput) return Status::kGoesOn;
  session_.ForgetOffer();  // the next probe begins anew
  return Status::kFailed;
}

ProbeTls::Status ProbeTls::Receive(std::span<const uint8_t> octets, std::vector<uint8_t>& out,
                                   std::vector<uint8_t>& plain) {
  in_.insert(in_.end(), octets.begin(), octets.end());
  if (!up_) {
    const Status status = Shake(out);
    if (!up_) return status;
  }
  std::array<uint8_t, kPlain> opened;
  for (;;) {
    size_t got = 0;
    const TlsResult result =
        Run(out, [&](TlsSession::Io& io) { return session_.Read(io, opened, got); });
    plain.insert(plain.end(), opened.begin(), opened.begin() + static_cast<ptrdiff_t>(got));
    if (result == TlsResult::kNeedInput) return Status::kGoesOn;
    if (result == TlsResult::kClosed) return Status::kClosed;
    if (result != TlsResult::kOk) return Status::kFailed;
  }
}

ProbeTls::Status ProbeTls::Say(std::span<const uint8_t> plain, std::vector<uint8_t>& out) {
  size_t taken = 0;
  const TlsResult result =
      Run(out, [&](TlsSession::Io& io) { return session_.Write(io, plain.subspan(taken), taken); });
  return result == TlsResult::kOk ? Status::kGoesOn : Status::kFailed;
}

void ProbeTls::SayGoodbye(std::vector<uint8_t>& out) {
  Run(out, [&](TlsSession::Io& io) { return session_.CloseNotify(io); });
}

}  // namespace starling
