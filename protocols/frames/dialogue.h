// What all dialogues of lines share: words and case, the first octets of a stranger that
// speaks TLS or HTTP, and how events and refusals end a session.
//
// Not for: framing (line_reader.h), or the words of a protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

// Every reply of the gateway's own fits into this room. A dialogue does not begin with the
// next pipelined command if there is less.
inline constexpr size_t kReplyRoom = 1024;
static_assert(kReplyRoom <= kMinOutputRoom);

// ASCII only: no locale, and octets above 0x7f do not change.
constexpr char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// Whether the text has only digits, at least one.
bool IsNumber(std::string_view text);
// `a` and `b` have `size` octets each.
bool SameIgnoringCase(const char* a, const char* b, size_t size);
// Most words that are compared differ in size or in the first letter.
inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  constexpr int kCaseBit = 0x20;
  if (a.size() != b.size()) return false;
  return a.empty() ||
         (((a[0] ^ b[0]) & ~kCaseBit) == 0 && SameIgnoringCase(a.data(), b.data(), a.size()));
}

// Cuts the octets before the first space off `rest`, and that one space. For words that
// exactly one space separates.
std::string_view TakeWord(std::string_view& rest);

// The white space between the words of a command. IMAP, POP3, ManageSieve, ACAP and IRC
// have only the space. SMTP, LMTP, NNTP, HTTP and FTP also have the tab.
inline constexpr std::string_view kSpace = " ";
inline constexpr std::string_view kBlanks = " \t";
// The white space between the words of a server's line: everything that some client takes
// for it. Otherwise words that the gateway removes from such a line could come back when a
// client splits it differently.
inline constexpr std::string_view kServerBlanks = " \t\v\f";

std::string_view TrimStart(std::string_view text, std::string_view blanks);
std::string_view TrimEnd(std::string_view text, std::string_view blanks);
std::string_view Trim(std::string_view text, std::string_view blanks);
// Cuts the first word of a command off `rest`, and all `blanks` before and after it.
std::string_view NextWord(std::string_view& rest, std::string_view blanks);
// Cuts the first word of a server's line off `rest`, and all white space after it. Empty if
// the line begins with white space, since clients disagree about such a line.
std::string_view FirstWord(std::string_view& rest);

// Whether every octet is printable ASCII (0x21 to 0x7e; not space).
bool IsPrintable(std::string_view word);
// Whether the word has only letters, digits and "-", at least one. The gateway never passes
// any other word on as a verb: a server with looser rules about spaces might find another
// verb in it.
bool IsVerb(std::string_view word);
// Whether the SASL mechanism uses channel binding ("SCRAM-SHA-256-PLUS", RFC 5802 section
// 4).
bool EndsInPlus(std::string_view mechanism);
// Whether any octet is above 0x7f.
bool Has8Bit(std::string_view text);

// A session's first octets or first line may be something other than a command. This one: a
// TLS handshake record, or an SSLv2-style hello. One octet decides.
bool BeginsLikeTls(ByteView in);
// "POST / HTTP/1.1" and the like (RFC 9110 section 9, and HTTP/2's preface).
bool LooksLikeHttp(std::string_view line);
// "Host: example.org": a header of HTTP or mail. No command looks like that.
bool LooksLikeHeader(std::string_view line);

// Appends all parts, or nothing if they do not fit together. Own replies always fit
// (kReplyRoom), so there is no result.
void Say(Writer& out, std::initializer_list<std::string_view> parts);

// Passes a command on, followed by CRLF, with spacing that every server reads alike: one
// space between words, and none before the first or after the last. White space inside
// quoted strings and angle brackets is data, and stays.
void SayWords(Writer& out, std::string_view line, std::string_view blanks);

// Ends the session. Notes the attack if `reason` names one.
void Close(Step& step, EndReason reason);

// What the gateway waits for from a server, when it reads something else.
enum class Awaited : uint8_t {
  kNothing,  // no server may speak, or it was asked nothing
  kGreeting,
  kReply,
};
enum class Misplaced : uint8_t {
  kOctets,  // they make no line: NUL, a bare CR; or no line may come at all
  kLine,
};
// Ends the session, since the server has said what may not come there. Counts it as an injection
// by the one rule for all protocols (protocols/README.md): all where nothing was awaited, and any
// line that cannot be the reply that was. A wrong greeting is no injection. `reply`: its code.
void CloseMisplaced(Step& step, Awaited awaited, Misplaced what, uint16_t reply = 0);
// Counts a line that would have sent the client to another server (a referral, an address). The
// gateway has put words of its own in its place, and the session goes on.
void NoteDiversion(Step& step);

// The reason and the refusal of an event that ends a session: kLegFailed,
// kGreetingDeadline, kDeadline, kPatienceOver, kDrain, kClientEnd, kBackendEnd.
EndReason ReasonOf(const Event& event);
Refusal RefusalOf(const Event& event);

// A refusal in words, which any protocol can put after its own code. The text begins with a
// capital letter and has no full stop and no quotation mark.
std::string_view TextOf(Refusal refusal);
// Whether the client may come again later, because it has done nothing wrong.
bool IsTemporary(Refusal refusal);

}  // namespace starling
