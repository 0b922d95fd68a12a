// SessionPlay for SMTP and LMTP.
#pragma once

#include <cstddef>
#include <string>

#include "protocols/frames/testing/session_play.h"
#include "protocols/smtp/smtp.h"

namespace starling {

class SmtpPlay : public SessionPlay {
 public:
  SmtpPlay(const DialogueOptions& options, bool lmtp, size_t piece = std::string::npos,
           size_t room = kMinOutputRoom)
      : SessionPlay(lmtp ? CreateLmtp : CreateSmtp, options, piece, room) {}
};

}  // namespace starling
