// The dialogue of the probe with a backend: greeting, EHLO or LHLO, QUIT.
#include <new>

#include "protocols/frames/dialogue.h"
#include "protocols/frames/long_lines.h"
#include "protocols/smtp/limits.h"
#include "protocols/smtp/smtp.h"
#include "protocols/smtp/smtp_replies.h"
#include "protocols/smtp/smtp_wire.h"

namespace starling {

namespace {

class SmtpProbe final : public Probe {
 public:
  SmtpProbe(const DialogueOptions& options, bool lmtp) : options_(options), lmtp_(lmtp) {}

  ProbeResult OnBackend(ByteView in, Output& out) override {
    ProbeResult result;
    while (result.consumed < in.size() && result.status == ProbeResult::Status::kNeedMore) {
      const LongLines::Piece piece = lines_.Next(in.subspan(result.consumed));
      if (piece.status == LongLines::Status::kNeedMore) break;
      result.consumed += piece.consumed;
      octets_ += piece.consumed;
      result.status = piece.status == LongLines::Status::kPiece ? OnPiece(piece, out)
                                                                : ProbeResult::Status::kBad;
    }
    if (result.status == ProbeResult::Status::kDone) result.capabilities = capabilities_;
    return result;
  }

 private:
  ProbeResult::Status OnPiece(const LongLines::Piece& piece, Output& out) {
    if (piece.first) {
      const SmtpReplyLine reply = ParseSmtpReplyLine(WholeWords(piece));
      if (reply.code != (greeted_ ? kSmtpCompleted : kSmtpReady)) return ProbeResult::Status::kBad;
      // The first line of the EHLO reply is the server's name, not a keyword.
      if (greeted_ && named_) AddSmtpKeyword(reply.text, capabilities_);
      named_ = greeted_;
      last_line_ = reply.last;
    }
    // The gateway limits how much it reads. A server that answers is up; a session would not
    // swallow such a greeting.
    if (octets_ > kSmtpMaxSwallowed) return greeted_ ? Done(out) : ProbeResult::Status::kBad;
    if (!piece.last || !last_line_) return ProbeResult::Status::kNeedMore;
    if (greeted_) return Done(out);
    Say(out.backend, {lmtp_ ? "LHLO " : "EHLO ", options_.hostname, "\r\n"});
    greeted_ = true;
    return ProbeResult::Status::kNeedMore;
  }

  ProbeResult::Status Done(Output& out) {
    Say(out.backend, {"QUIT\r\n"});
    return ProbeResult::Status::kDone;
  }

  const DialogueOptions& options_;
  LongLines lines_{kSmtpMaxReplyLine, /*accept_bare_lf=*/true};
  uint64_t capabilities_ = kSmtpKnown;
  size_t octets_ = 0;
  bool lmtp_;
  bool greeted_ = false;
  bool named_ = false;
  bool last_line_ = false;
};

static_assert(sizeof(SmtpProbe) <= kNegotiatorSize);

}  // namespace

Probe* CreateSmtpProbe(void* storage, const DialogueOptions& options) {
  return new (storage) SmtpProbe(options, false);
}

Probe* CreateLmtpProbe(void* storage, const DialogueOptions& options) {
  return new (storage) SmtpProbe(options, true);
}

}  // namespace starling
