// The frame of IMAP, ACAP and ManageSieve: a command may have literals, and goes on behind each.
// Before TLS the gateway drops those that do not wait, calls for none, and refuses the command at
// its end. IMAP and ACAP begin a command with a tag, which their answers repeat.
//
// Not for: literals of a log-in that is passed on (line_leg.cc), or what any command means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/frames/limits.h"
#include "protocols/frames/line_dialogue.h"
#include "protocols/frames/tag.h"

namespace starling {

class LiteralDialogue : public LineDialogue {
 protected:
  // Why a command is refused before anybody looks at its verb.
  enum class Fault : uint8_t {
    kTag,                 // it begins with no tag
    kLogin,               // it is a log-in, which needs TLS
    kSpaceBehindLiteral,  // servers disagree on what that is
    kLiteral,             // it has one
  };

  // What a tag is: `most` printable ASCII characters at most, but for those of `excluded`.
  struct TagRule {
    size_t most = 0;  // 0: the protocol has no tags
    std::string_view excluded = {};
  };

  explicit LiteralDialogue(const DialogueOptions& options) : LiteralDialogue(options, {}) {}
  LiteralDialogue(const DialogueOptions& options, TagRule rule)
      : LineDialogue(options), rule_(rule) {}

  virtual bool IsLogin(std::string_view verb) const = 0;
  // Passes a log-in on, by PassOn. False: the protocol never does.
  virtual bool PassLogin(std::string_view /*verb*/) { return false; }
  virtual void SayFault(Fault fault, Writer& out) = 0;
  // A whole command without literals: all behind its tag, without the spaces at its end, which
  // Dovecot takes as well.
  virtual void OnCommand(std::string_view command, Step& step, Writer& out) = 0;

  // Of the command at hand; "*" if it has none.
  std::string_view tag() const { return tag_.text(); }

 private:
  void OnLine(std::string_view line, Step& step, Writer& out) final;
  // The first line of a command, cut to what is behind its tag. False: there is no more to do.
  bool BeginCommand(std::string_view line, std::string_view& command, Step& step, Writer& out);
  bool IsTag(std::string_view word) const;
  bool lacks_tag() const { return rule_.most > 0 && tag_.none(); }

  const TagRule rule_;
  Tag<kMaxTag> tag_;
  bool amid_command_ = false;  // a dropped literal came; the command goes on
  bool is_login_ = false;      // the command at hand
};

}  // namespace starling
