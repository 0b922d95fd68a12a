// DialogueDriver for SMTP and LMTP.
#pragma once

#include <cstddef>
#include <string>

#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/smtp/smtp.h"

namespace starling {

class SmtpPlay : public DialogueDriver {
 public:
  SmtpPlay(const DialogueOptions& options, bool lmtp, size_t piece = std::string::npos,
           size_t room = kMinOutputRoom)
      : DialogueDriver(lmtp ? CreateLmtp : CreateSmtp, options, piece, room) {}
};

}  // namespace starling
