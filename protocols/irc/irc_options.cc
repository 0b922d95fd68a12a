#include "protocols/irc/irc_options.h"

#include <memory>
#include <utility>

#include "protocols/frames/dialogue.h"
#include "protocols/irc/limits.h"

namespace starling {

const IrcOptions& IrcOptionsOf(const DialogueOptions& options) {
  static const IrcOptions defaults;
  const auto* const irc = dynamic_cast<const IrcOptions*>(options.own.get());
  return irc == nullptr ? defaults : *irc;
}

void SetStsPort(uint16_t port, DialogueOptions& options) {
  auto irc = std::make_shared<IrcOptions>(IrcOptionsOf(options));
  irc->sts_port = port;
  options.own = std::move(irc);
}

void SetWebircPassword(std::string password, DialogueOptions& options) {
  auto irc = std::make_shared<IrcOptions>(IrcOptionsOf(options));
  irc->webirc_password = std::move(password);
  options.own = std::move(irc);
}

bool IsWebircPassword(std::string_view password) {
  return !password.empty() && password.size() <= kIrcMaxWebircPassword && password[0] != ':' &&
         IsPrintable(password);
}

}  // namespace starling
