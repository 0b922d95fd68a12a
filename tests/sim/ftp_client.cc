#include "tests/sim/ftp_client.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace starling::sim {
namespace {

// A client that waits longer than this for its end has found a bug.
constexpr std::chrono::minutes kPatience{30};

constexpr std::array<const char*, 3> kAfterUser = {"PASS secret", "PBSZ 0", "PROT P"};

// The port in "227 ... (h1,h2,h3,h4,p1,p2)" or "229 ... (|||port|)"; 0: there is none.
uint16_t PortIn(std::string_view text) {
  unsigned numbers[6] = {};
  const size_t open = text.find('(');
  if (open == std::string_view::npos) return 0;
  const std::string rest(text.substr(open));
  if (std::sscanf(rest.c_str(), "(|||%u|)", &numbers[5]) == 1) {
    return static_cast<uint16_t>(numbers[5]);
  }
  const int count = std::sscanf(rest.c_str(), "(%u,%u,%u,%u,%u,%u)", &numbers[0], &numbers[1],
                                &numbers[2], &numbers[3], &numbers[4], &numbers[5]);
  return static_cast<uint16_t>(count == 6 ? 256 * numbers[4] + numbers[5] : 0);
}

}  // namespace

void FtpClient::Start() {
  world_.After(std::chrono::microseconds(plan_.start_us), [this] { Connect(); });
}

void FtpClient::Connect() {
  SocketId socket;
  const int result = world_.Connect(plan_.address, plan_.endpoint, &socket);
  if (result == -EINPROGRESS) {
    world_.After(std::chrono::milliseconds(50), [this] { Connect(); });
    return;
  }
  if (result != 0) return Done();
  plan_.connected = true;
  world_.Trace("client connects", plan_.id);
  control_.Attach(socket, [this] { Step(); });
  world_.After(kPatience, [this] {
    if (stage_ != Stage::kDone) world_.Fail("client " + std::to_string(plan_.id) + " never ended");
  });
  if (plan_.implicit) control_.BeginTls();
  Step();
}

void FtpClient::Done() {
  if (stage_ == Stage::kDone) return;
  stage_ = Stage::kDone;
  plan_.done = true;
  plan_.broken |= control_.was_broken() || (data_ != nullptr && data_->was_broken());
  world_.Trace("client done", plan_.id);
  CloseListener();
  if (data_ != nullptr) data_->Close();
  if (stranger_ != nullptr) stranger_->Close();
  control_.Close();
}

void FtpClient::Say(std::string_view line) { control_.Send(std::string(line) + "\r\n"); }

void FtpClient::Step() {
  if (stage_ == Stage::kDone || !control_.open()) return;
  if (control_.Receive(4'096)) world_.After(std::chrono::microseconds(40), [this] { Step(); });
  for (size_t end; (end = control_.in.find("\r\n")) != std::string::npos;) {
    const std::string line = control_.in.substr(0, end);
    control_.in.erase(0, end + 2);
    if (line.size() < 4 || line[3] != ' ') continue;
    OnReply(std::atoi(line.c_str()), line);
    if (stage_ == Stage::kDone) return;
  }
  if (!control_.over()) return;
  control_.End();
  Done();
}

void FtpClient::OnReply(int code, std::string_view text) {
  world_.Trace("reply", plan_.id, code);
  // The gateway's or the server's last word: the end of the connection follows.
  if (code == 421) return;
  switch (stage_) {
    case Stage::kGreeting:
      stage_ = plan_.implicit ? Stage::kLogIn : Stage::kAuth;
      return Say(plan_.implicit ? "USER " + std::to_string(plan_.id) : "AUTH TLS");
    case Stage::kAuth:
      stage_ = Stage::kLogIn;
      control_.BeginTls();
      return Say("USER " + std::to_string(plan_.id));
    case Stage::kLogIn:
      return OnLogIn(code);
    case Stage::kSetup:
      return OnSetup(code, text);
    case Stage::kTransfer:
      return OnTransferReply(code);
    case Stage::kQuit:
      plan_.said_goodbye = code == 221;
      return;
    case Stage::kDone:
      return;
  }
}

void FtpClient::OnLogIn(int code) {
  if (code >= 400) world_.Fail("a log-in failed: " + std::to_string(code));
  if (logged_ < kAfterUser.size()) return Say(kAfterUser[logged_++]);
  NextTransfer();
}

// --- transfers ---

void FtpClient::NextTransfer() {
  if (at_ == plan_.transfers.size()) {
    stage_ = Stage::kQuit;
    return Say("QUIT");
  }
  checker_ = StreamChecker(kBackendMark);
  begun_ = using_ = data_over_ = deed_done_ = replied_ = set_up_once_ = false;
  SetUp();
}

void FtpClient::SetUp() {
  stage_ = Stage::kSetup;
  if (transfer().setup == FtpSetup::kPasv) return Say("PASV");
  if (transfer().setup == FtpSetup::kEpsv) return Say("EPSV");
  Listen();
}

void FtpClient::OnSetup(int code, std::string_view text) {
  if (code >= 400) {
    transfer().reply = code;
    data_over_ = replied_ = true;
    stage_ = Stage::kTransfer;
    return MaybeOver();
  }
  if (transfer().sets_up_twice && !std::exchange(set_up_once_, true)) return SetUp();
  stage_ = Stage::kTransfer;
  replies_due_ = 1;
  if (!transfer().passive()) return Command();
  const uint16_t port = PortIn(text);
  if (port == 0) return world_.Fail("no port in: " + std::string(text));
  // Clients do both in either order.
  const bool command_first = world_.rng().Chance(300);
  if (command_first) Command();
  ConnectData(port);
  if (!command_first && stage_ == Stage::kTransfer) Command();
}

void FtpClient::Command() {
  Say((transfer().upload ? "STOR " : "RETR ") + std::to_string(transfer().id));
}

void FtpClient::OnTransferReply(int code) {
  if (code < 200) {
    begun_ = true;
    if (data_ != nullptr) UseData();
    return;
  }
  // The last of two is that to ABOR.
  if (transfer().reply == 0) transfer().reply = code;
  if (--replies_due_ > 0) return;
  replied_ = true;
  if (transfer().reply >= 400) EndData();
  MaybeOver();
}

void FtpClient::MaybeOver() {
  if (!replied_ || !data_over_ || stage_ != Stage::kTransfer) return;
  CloseListener();
  if (data_ != nullptr) plan_.broken |= data_->was_broken();
  data_.reset();
  stranger_.reset();
  ++at_;
  NextTransfer();
}

}  // namespace starling::sim
