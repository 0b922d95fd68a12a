// An FTP session for tests and the fuzz target: a DialogueDriver with data channels, which
// exist only as text.
#pragma once

#include <string>
#include <utility>

#include "protocols/contract/data_channel.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/ftp/ftp.h"

namespace starling {

class FtpPlay final : public DialogueDriver {
 public:
  explicit FtpPlay(const DialogueOptions& options, size_t piece = std::string::npos)
      : DialogueDriver(CreateFtp, options, piece), user_(FtpDataChannels(negotiator())) {}

  void EnterTls(const Endpoint* client = nullptr) {
    inside_ = true;
    DialogueDriver::EnterTls(client);
  }

  // Has no effect before TLS, where no channel can exist.
  void DataIsOver(DataOutcome outcome) {
    if (over() || !inside_) return;
    Tell(*user_, {.outcome = outcome});
    Run();
  }

  // The address at which the gateway listens for data channels. Null: it cannot make any.
  void ListenAt(const Endpoint* address) { listen_at_ = address; }
  // What the dialogue has requested since the last call of this function, as text.
  std::string TakeAsked() { return std::exchange(asked_, {}); }

 private:
  void AfterCall(const Step& step) override {
    DialogueDriver::AfterCall(step);
    const DataRequest request = user_->TakeDataRequest();
    if (request.ask == DataAsk::kDrop) asked_ += "drop;";
    if (request.ask == DataAsk::kNone || request.ask == DataAsk::kDrop) return;
    asked_ += request.ask == DataAsk::kFromClient ? "from client, " : "from server, ";
    asked_ += std::to_string(request.port) + ";";
    Tell(*user_, {.ready_at = listen_at_});
  }

  DataChannelUser* user_;
  const Endpoint* listen_at_ = nullptr;
  std::string asked_;
  bool inside_ = false;
};

}  // namespace starling
