// A mail server for plaintext sessions: SMTP as far as a sender needs it. It checks that
// its input is commands of a simulated client and a message of coded text, whole and in
// order.
#include "protocols/contract/negotiator.h"
#include "tests/sim/sim_backend.h"

namespace starling::sim {
namespace {

class MailLeg final : public BackendLeg {
 public:
  MailLeg(const BackendContext& context, SocketId socket)
      : context_(context),
        world_(context.world),
        wire_(context.world),
        header_due_(context.setup.proxy_header) {
    wire_.Attach(socket, [this] { Step(); });
    Step();
  }

 private:
  // Replies come a little later, in order, sometimes several in one segment.
  void Say(std::string_view reply) {
    due_ += reply;
    if (saying_) return;
    saying_ = true;
    world_.After(std::chrono::microseconds(world_.rng().Below(2'000)), [this] {
      saying_ = false;
      if (wire_.open()) wire_.Send(std::exchange(due_, {}));
      if (quit_) wire_.ShutdownWhenFlushed();
    });
  }

  void Step() {
    if (!wire_.open()) return;
    wire_.Flush();
    if (wire_.Receive(world_.rng().Between(1, 8'192))) {
      world_.After(std::chrono::microseconds(50), [this] { Step(); });
    }
    if (header_due_ && !TakeHeader()) return;
    if (!greeted_ && !Greet()) return;
    while (!wire_.in.empty() && (in_data_ ? TakeData() : TakeCommand())) {
    }
    if (wire_.ended()) wire_.Close();
  }

  bool TakeHeader() {
    if (wire_.ended() && wire_.in.empty()) wire_.Close();
    if (!wire_.open()) return false;
    const HeaderReader::Status status = header_.Take(wire_.in, context_.sessions, world_);
    if (status == HeaderReader::Status::kBad) wire_.Close();
    if (status != HeaderReader::Status::kDone) return false;
    header_due_ = false;
    plan_ = header_.plan();
    if (context_.tls != nullptr) wire_.StartTls(*context_.tls);
    return true;
  }

  // A gateway that rejects the server's certificate tries another server; this connection
  // ends.
  bool Greet() {
    if (!wire_.secure()) {
      if (wire_.ended()) wire_.Close();
      return false;
    }
    greeted_ = true;
    if (plan_ != nullptr) ++plan_->plain_legs;
    Say("220-backend.sim\r\n220 ESMTP\r\n");
    return true;
  }

  bool TakeCommand() {
    const size_t end = wire_.in.find("\r\n");
    if (end == std::string::npos) return false;
    const std::string line = wire_.in.substr(0, end);
    wire_.in.erase(0, end + 2);
    const std::string_view verb = std::string_view(line).substr(0, 4);
    if (verb == "EHLO") {
      Say("250-backend.sim\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
    } else if (verb == "MAIL" || verb == "RCPT" || verb == "RSET" || verb == "NOOP") {
      Say("250 2.0.0 Ok\r\n");
    } else if (verb == "DATA") {
      in_data_ = true;
      Say("354 go ahead\r\n");
    } else if (verb == "QUIT") {
      quit_ = true;
      Say("221 2.0.0 Bye\r\n");
    } else {
      world_.Fail("a plaintext leg got \"" + line + "\"");
      wire_.Close();
      return false;
    }
    return true;
  }

  bool TakeData() {
    // The end mark may be cut anywhere: keep octets that could be its beginning.
    const uint64_t total = plan_->client_octets;
    const size_t body = std::min<uint64_t>(wire_.in.size(), total - got_);
    if (wire_.in.compare(0, body, CodedText(plan_->id, got_, body)) != 0) {
      world_.Fail("a message of " + plan_->Name() + " came damaged near " + std::to_string(got_));
      wire_.Close();
      return false;
    }
    wire_.in.erase(0, body);
    got_ += body;
    plan_->backend_got = got_;
    if (got_ < total || wire_.in.size() < 3) return false;
    if (wire_.in.compare(0, 3, ".\r\n") != 0) {
      world_.Fail("a message of " + plan_->Name() + " does not end where it should");
      wire_.Close();
      return false;
    }
    wire_.in.erase(0, 3);
    in_data_ = false;
    plan_->mail_taken = true;
    Say("250 2.0.0 Ok: queued\r\n");
    return true;
  }

  const BackendContext& context_;
  World& world_;
  Wire wire_;
  HeaderReader header_;
  bool header_due_;
  bool greeted_ = false;
  SessionPlan* plan_ = nullptr;
  std::string due_;
  bool saying_ = false;
  bool in_data_ = false;
  bool quit_ = false;
  uint64_t got_ = 0;
};

}  // namespace

std::unique_ptr<BackendLeg> MakeMailLeg(const BackendContext& context, SocketId socket) {
  return std::make_unique<MailLeg>(context, socket);
}

}  // namespace starling::sim
