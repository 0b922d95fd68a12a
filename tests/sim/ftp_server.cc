#include "tests/sim/ftp_server.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/sim/coded_stream.h"
#include "tests/sim/wire.h"

namespace starling::sim {

class FtpLeg {
 public:
  FtpLeg(World& world, std::deque<FtpPlan>& plans, const Endpoint& address, SocketId socket)
      : world_(world), plans_(plans), address_(address), control_(world) {
    control_.Attach(socket, [this] { Step(); });
    Say(world_.rng().Chance(500) ? "220 ready" : "220-welcome\r\n220 ready");
    Step();
  }
  ~FtpLeg() { CloseListener(); }

 private:
  // Replies come a little later, in order, sometimes several in one segment.
  void Say(std::string_view reply) {
    due_ += std::string(reply) + "\r\n";
    if (std::exchange(saying_, true)) return;
    world_.After(std::chrono::microseconds(world_.rng().Below(2'000)), [this] {
      saying_ = false;
      if (control_.open()) control_.Send(std::exchange(due_, {}));
      if (quit_) control_.ShutdownWhenFlushed();
    });
  }

  void Step() {
    if (!control_.open()) return;
    control_.Flush();
    if (control_.Receive(4'096)) world_.After(std::chrono::microseconds(50), [this] { Step(); });
    for (size_t end; (end = control_.in.find("\r\n")) != std::string::npos;) {
      const std::string line = control_.in.substr(0, end);
      control_.in.erase(0, end + 2);
      OnCommand(line.substr(0, 4), line.size() > 5 ? line.substr(5) : std::string());
    }
    if (!control_.ended()) return;
    EndTransfer(0);
    if (data_ != nullptr) data_->Reset();
    CloseListener();
    control_.Close();
  }

  void OnCommand(std::string_view verb, const std::string& argument) {
    const auto number = static_cast<size_t>(std::atoi(argument.c_str()));
    if (verb == "USER") {
      if (number >= 1 && number <= plans_.size()) plan_ = &plans_[number - 1];
      Say("331 password");
    } else if (verb == "PASS") {
      Say("230 logged in");
    } else if (verb == "PASV" || verb == "EPSV") {
      Listen(verb == "PASV");
    } else if (verb == "PORT") {
      TakePort(argument);
    } else if (verb == "RETR" || verb == "STOR") {
      Begin(number, verb == "STOR");
    } else if (verb == "ABOR") {
      Abort();
    } else if (verb == "QUIT") {
      quit_ = true;
      Say("221 bye");
    } else {
      world_.Fail("a server got \"" + std::string(verb) + "\"");
    }
  }

  // --- the data connection ---

  void Listen(bool short_form) {
    CloseListener();
    active_ = {};
    Endpoint at = address_;
    at.port = world_.FreshAddress(false).endpoint().port;
    listener_ = world_.Listen(SocketAddress::From(at), 4);
    world_.WatchListener(listener_, [this] { Join(); });
    char text[80];
    std::snprintf(text, sizeof text,
                  short_form ? "227 here (127,0,0,1,%u,%u)" : "229 here (|||%u|)",
                  short_form ? at.port >> 8u : at.port, at.port & 255u);
    Say(text);
  }

  void TakePort(const std::string& argument) {
    unsigned n[6] = {};
    std::sscanf(argument.c_str(), "%u,%u,%u,%u,%u,%u", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]);
    CloseListener();
    active_ = address_;
    active_.port = static_cast<uint16_t>(256 * n[4] + n[5]);
    Say("200 ok");
  }

  void CloseListener() {
    if (listener_ >= 0) world_.CloseListener(std::exchange(listener_, -1));
  }

  void Begin(size_t id, bool upload) {
    transfer_ = nullptr;
    if (plan_ != nullptr) {
      for (FtpTransfer& each : plan_->transfers) {
        if (each.id == id && each.upload == upload) transfer_ = &each;
      }
    }
    if (transfer_ == nullptr) return world_.Fail("a server got the command of another client");
    if (transfer_->deed == FtpDeed::kRefused) {
      transfer_ = nullptr;
      CloseListener();
      return Say("550 no such file");
    }
    checker_ = StreamChecker(kClientMark);
    data_.reset();
    said_begin_ = false;
    if (world_.rng().Chance(500)) SayBegin();
    Join();
  }

  void SayBegin() {
    if (!std::exchange(said_begin_, true)) Say("150 here it comes");
  }

  // The transfer's command and its connection come in either order.
  void Join() {
    if (transfer_ == nullptr || data_ != nullptr) return;
    SocketId socket = kNoSocket;
    if (listener_ >= 0) {
      socket = world_.Accept(listener_);
      if (socket == kNoSocket) return;
      CloseListener();
    } else {
      Endpoint from = address_;
      from.port = world_.FreshEndpoint().port;
      const int result = world_.Connect(SocketAddress::From(active_), from, &socket);
      if (result != 0) return EndTransfer(425);
    }
    SayBegin();
    data_ = std::make_unique<Wire>(world_);
    data_->Attach(socket, [this] { StepData(); });
    StepData();
  }

  void StepData() {
    if (data_ == nullptr || !data_->open()) return;
    data_->Flush();
    const size_t limit = world_.rng().Chance(200) ? world_.rng().Between(1, 2'000) : 65'536;
    if (data_->Receive(limit)) world_.After(std::chrono::microseconds(50), [this] { StepData(); });
    if (transfer_ == nullptr) {
      // A download that was sent whole: only its connection is left.
      if (data_->ended()) data_->Close();
      return;
    }
    transfer_->upload ? Store() : Retrieve();
  }

  void Store() {
    FtpTransfer& now = *transfer_;
    const std::string octets = std::exchange(data_->in, {});
    if (!checker_.Feed(octets) || (checker_.known() && checker_.id() != now.id)) {
      world_.Fail(plan_->Name(now) + ": its server got a foreign octet at " +
                  std::to_string(checker_.position()));
    }
    now.got = checker_.position();
    if (data_->failed()) {
      EndTransfer(426);
    } else if (now.deed == FtpDeed::kServerResets && now.got >= now.until()) {
      EndTransfer(451);
      data_->Reset();
    } else if (data_->ended()) {
      now.got_end = true;
      EndTransfer(226);
      data_->Close();
    }
  }

  void Retrieve() {
    FtpTransfer& now = *transfer_;
    const uint64_t until = now.deed == FtpDeed::kServerResets ? now.until() : now.octets;
    while (now.sent < until && data_->flushed() && !data_->failed()) {
      const size_t size = std::min(DrawPortion(world_.rng()), until - now.sent);
      data_->Send(CodedOctets(kBackendMark, now.id, now.sent, size));
      now.sent += size;
    }
    if (data_->failed()) return EndTransfer(426);
    if (now.sent < until || !data_->flushed()) return;
    if (now.deed == FtpDeed::kServerResets) {
      // A server may say that this was all.
      EndTransfer(world_.rng().Chance(500) ? 226 : 451);
      return data_->Reset();
    }
    now.sent_end = true;
    EndTransfer(226);
    world_.rng().Chance(500) ? data_->Close() : data_->ShutdownWhenFlushed();
  }

  void Abort() {
    if (transfer_ != nullptr) {
      const bool orderly = !transfer_->upload && world_.rng().Chance(500) && data_ != nullptr &&
                           data_->flushed() && !data_->failed();
      if (orderly) transfer_->sent_end = true;
      EndTransfer(426);
      if (data_ != nullptr) orderly ? data_->Close() : data_->Reset();
    }
    CloseListener();
    Say("226 aborted");
  }

  // `code` 0: nobody is there to be told.
  void EndTransfer(int code) {
    if (transfer_ == nullptr) return;
    if (data_ != nullptr) plan_->broken |= data_->was_broken();
    transfer_ = nullptr;
    if (code == 0) return;
    SayBegin();
    Say(std::to_string(code) + " done");
  }

  World& world_;
  std::deque<FtpPlan>& plans_;
  const Endpoint address_;
  Wire control_;
  FtpPlan* plan_ = nullptr;
  std::string due_;
  bool saying_ = false;
  bool quit_ = false;

  FtpTransfer* transfer_ = nullptr;  // the one under way
  int listener_ = -1;
  Endpoint active_;
  std::unique_ptr<Wire> data_;
  StreamChecker checker_{kClientMark};
  bool said_begin_ = false;
};

FtpServer::FtpServer(World& world, std::deque<FtpPlan>& plans, const SocketAddress& address)
    : world_(world), plans_(plans), os_fd_(world.Listen(address, 128)) {
  world.WatchListener(os_fd_, [this, address] {
    for (SocketId socket; (socket = world_.Accept(os_fd_)) != kNoSocket;) {
      legs_.push_back(std::make_unique<FtpLeg>(world_, plans_, address.endpoint(), socket));
    }
  });
}

FtpServer::~FtpServer() { world_.CloseListener(os_fd_); }

}  // namespace starling::sim
