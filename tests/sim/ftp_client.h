// An FTP client of the gateway: it logs in inside TLS, makes its plan's transfers one after
// the other, and says goodbye.
//
// It checks what it downloads at once: only its own octets may come, in order.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tests/sim/coded_stream.h"
#include "tests/sim/ftp_plan.h"
#include "tests/sim/secure_wire.h"

namespace starling::sim {

class FtpClient {
 public:
  FtpClient(World& world, FtpPlan& plan) : world_(world), plan_(plan), control_(world) {}

  // Connects when the plan says so, and sets plan.done at its end.
  void Start();

 private:
  enum class Stage : uint8_t { kGreeting, kAuth, kLogIn, kSetup, kTransfer, kQuit, kDone };

  // The control connection (ftp_client.cc).
  void Connect();
  void Step();
  void Done();
  void Say(std::string_view line);
  void OnReply(int code, std::string_view text);
  void OnLogIn(int code);
  void OnSetup(int code, std::string_view text);
  void OnTransferReply(int code);
  void NextTransfer();
  void SetUp();
  void Command();

  // The data connection (ftp_client_data.cc).
  void Listen();
  void CloseListener();
  void ConnectData(uint16_t port);
  void TakeData(SocketId socket);
  void UseData();
  void StepData();
  void Download();
  void Upload();
  void Deed();
  void EndData();
  void MaybeOver();
  FtpTransfer& transfer() { return plan_.transfers[at_]; }

  World& world_;
  FtpPlan& plan_;
  SecureWire control_;
  Stage stage_ = Stage::kGreeting;
  size_t logged_ = 0;  // commands of log-in that were answered
  size_t at_ = 0;      // the transfer at hand
  bool set_up_once_ = false;

  int listener_ = -1;
  std::unique_ptr<SecureWire> data_;
  std::unique_ptr<SecureWire> stranger_;
  StreamChecker checker_{kBackendMark};
  bool begun_ = false;      // 150 has come
  bool using_ = false;      // TLS has begun on the data connection
  bool data_over_ = false;  // nothing more happens there
  bool deed_done_ = false;
  bool replied_ = false;
  int replies_due_ = 0;  // final ones, of the transfer and of ABOR
};

}  // namespace starling::sim
