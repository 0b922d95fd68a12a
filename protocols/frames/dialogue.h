// What all dialogues made of lines share: words and case, the first octets of
// a stranger who speaks TLS or HTTP, and how events and refusals end a session.
//
// Not for: framing (line_reader.h), or what any one protocol says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

// Every reply of the gateway's own fits into this much room; a dialogue stops
// short of the next pipelined command when less is left.
inline constexpr size_t kReplyRoom = 1024;
static_assert(kReplyRoom <= kMinOutputRoom);

// ASCII only: no locale, and octets above 0x7f stay what they are.
constexpr char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// Digits alone, at least one.
bool IsNumber(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// Cuts the octets before the first space off `rest`, and that one space: for words that
// exactly one space stands between.
std::string_view TakeWord(std::string_view& rest);

// The white space between the words of a command. IMAP, POP3, ManageSieve, ACAP and IRC
// have the space alone; SMTP, LMTP, NNTP, HTTP and FTP have the tab as well.
inline constexpr std::string_view kSpace = " ";
inline constexpr std::string_view kBlanks = " \t";
// The white space between the words of a server's line: whatever some client takes for it.
// What the gateway takes out of such a line must not come back as words of another cut.
inline constexpr std::string_view kServerBlanks = " \t\v\f";

std::string_view TrimStart(std::string_view text, std::string_view blanks);
std::string_view TrimEnd(std::string_view text, std::string_view blanks);
std::string_view Trim(std::string_view text, std::string_view blanks);
// Cuts the first word of a command off `rest`, and all `blanks` before and behind it.
std::string_view NextWord(std::string_view& rest, std::string_view blanks);
// Cuts the word that a server's line begins with off `rest`, and all white space behind it.
// Empty if the line begins with white space: clients do not agree on what that line is.
std::string_view FirstWord(std::string_view& rest);

// True if every octet is printable ASCII (0x21 to 0x7e; not space).
bool IsPrintable(std::string_view word);
// Letters, digits and "-", at least one. What is no such word is never passed on as a
// verb: a server that is less strict about spaces might find another one in it.
bool IsVerb(std::string_view word);
// A SASL mechanism with channel binding ("SCRAM-SHA-256-PLUS", RFC 5802 section 4).
bool EndsInPlus(std::string_view mechanism);
// True if any octet is above 0x7f.
bool Has8Bit(std::string_view text);

// What a session's first octets or first line may be instead of a command.
// A TLS handshake record, or an SSLv2-style hello: decided by one octet.
bool BeginsLikeTls(ByteView in);
// "POST / HTTP/1.1" and its like (RFC 9110 section 9, and HTTP/2's preface).
bool LooksLikeHttp(std::string_view line);
// "Host: example.org": a header of HTTP or mail, which no command looks like.
bool LooksLikeHeader(std::string_view line);

// Appends all parts, or nothing if they do not fit together. Own replies always
// fit (kReplyRoom); so nothing is returned.
void Say(Writer& out, std::initializer_list<std::string_view> parts);

// Passes a command on, with CRLF behind it and the spacing that every server reads alike:
// one space between words, none before the first or behind the last. The white space
// inside quoted strings and inside angle brackets is data, and stays.
void SayWords(Writer& out, std::string_view line, std::string_view blanks);

// Ends the session, and notes the attack where `reason` names one.
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

// How an event that ends a session is named, and which refusal's words it gets:
// kLegFailed, kGreetingDeadline, kDeadline, kPatienceOver, kDrain, kClientEnd, kBackendEnd.
EndReason ReasonOf(const Event& event);
Refusal RefusalOf(const Event& event);

// A refusal in words that any protocol can put behind a code of its own. It begins with a
// capital letter, has no full stop and no quotation mark.
std::string_view TextOf(Refusal refusal);
// The client may come again later: nothing is wrong with what it did.
bool IsTemporary(Refusal refusal);

}  // namespace starling
