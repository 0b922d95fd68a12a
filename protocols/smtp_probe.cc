// The dialogue with a backend's probe: greeting, EHLO or LHLO, QUIT.
#include <new>

#include "protocols/dialogue.h"
#include "protocols/limits.h"
#include "protocols/line_reader.h"
#include "protocols/smtp.h"
#include "protocols/smtp_wire.h"

namespace starling {

namespace {

class SmtpProbe final : public Probe {
 public:
  SmtpProbe(const DialogueOptions& options, bool lmtp) : options_(options), lmtp_(lmtp) {}

  ProbeResult OnBackend(ByteView in, Output& out) override {
    ProbeResult result;
    while (result.consumed < in.size() && result.status == ProbeResult::Status::kNeedMore) {
      LineReader::Line line = reader_.Next(in.subspan(result.consumed));
      if (line.status == LineReader::Status::kNeedMore) break;
      SmtpReplyLine reply;
      if (line.status == LineReader::Status::kLine) reply = ParseSmtpReplyLine(line.text);
      result.consumed += line.consumed;
      octets_ += line.consumed;
      result.status = OnLine(reply, out);
    }
    if (result.status == ProbeResult::Status::kDone) result.capabilities = capabilities_;
    return result;
  }

 private:
  static constexpr int kServiceReady = 220;
  static constexpr int kCompleted = 250;

  ProbeResult::Status OnLine(const SmtpReplyLine& reply, Output& out) {
    if (octets_ > kSmtpMaxSwallowed) return ProbeResult::Status::kBad;
    if (reply.code != (greeted_ ? kCompleted : kServiceReady)) return ProbeResult::Status::kBad;
    // The first line of the EHLO reply is the server's name, not a keyword.
    if (greeted_ && named_) AddSmtpKeyword(reply.text, capabilities_);
    named_ = greeted_;
    if (!reply.last) return ProbeResult::Status::kNeedMore;
    if (greeted_) {
      Say(out.backend, {"QUIT\r\n"});
      return ProbeResult::Status::kDone;
    }
    Say(out.backend, {lmtp_ ? "LHLO " : "EHLO ", options_.hostname, "\r\n"});
    greeted_ = true;
    return ProbeResult::Status::kNeedMore;
  }

  const DialogueOptions& options_;
  LineReader reader_{kSmtpMaxReplyLine};
  uint64_t capabilities_ = kSmtpKnown;
  size_t octets_ = 0;
  bool lmtp_;
  bool greeted_ = false;
  bool named_ = false;
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
