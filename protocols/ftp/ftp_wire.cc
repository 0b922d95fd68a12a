#include "protocols/ftp/ftp_wire.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "protocols/frames/dialogue.h"
#include "protocols/ftp/limits.h"

namespace starling {

namespace {

constexpr auto kReplies = std::to_array<std::string_view>({
#define X(name, text) text "\r\n",
    STARLING_FTP_REPLIES(X)
#undef X
});
static_assert(std::ranges::all_of(kReplies, [](std::string_view text) {
  return text.size() <= kFtpMaxOwnReply;
}));

// --- verbs: what each word is, and what each kind of verb means ---

enum class Blanks : uint8_t { kCount, kMeanNothing };  // around the argument
enum class BeforeTls : uint8_t { kRefused, kUnknown };

struct Word {
  std::string_view word;
  FtpVerb verb = FtpVerb::kOther;
  Blanks blanks = Blanks::kCount;  // for kOther; otherwise the verb decides
  BeforeTls before_tls = BeforeTls::kRefused;
};

// RFC 959, 2389, 2428, 3659, 4217, 7151, and other words that servers know. A missing word
// is FtpVerb::kOther: blanks count in its argument, and it is unknown before TLS. SPSV
// names only a port. P@SW (not a plain word) is another name of PASV.
constexpr auto kWords = std::to_array<Word>({
    {"ABOR", FtpVerb::kAbor},
    {"ADAT", FtpVerb::kRefused},
    {"ALLO", FtpVerb::kOther, Blanks::kMeanNothing},
    {"APPE", FtpVerb::kStore},
    {"AUTH", FtpVerb::kAuth},
    {"CCC", FtpVerb::kCcc},
    {"CDUP", FtpVerb::kOther, Blanks::kMeanNothing},
    {"CLNT"},
    {"CONF", FtpVerb::kRefused},
    {"CPSV", FtpVerb::kRefused},
    {"CWD"},
    {"DELE"},
    {"ENC", FtpVerb::kRefused},
    {"EPRT", FtpVerb::kEprt},
    {"EPSV", FtpVerb::kEpsv},
    {"FEAT", FtpVerb::kFeat},
    {"HELP", FtpVerb::kOther, Blanks::kMeanNothing, BeforeTls::kUnknown},
    {"HOST"},
    {"LANG", FtpVerb::kOther, Blanks::kMeanNothing},
    {"LIST", FtpVerb::kRetrieve},
    {"LPRT", FtpVerb::kRefused},
    {"LPSV", FtpVerb::kRefused},
    {"MDTM"},
    {"MFMT"},
    {"MIC", FtpVerb::kRefused},
    {"MKD"},
    {"MLSD", FtpVerb::kRetrieve},
    {"MLST"},
    {"MODE", FtpVerb::kMode},
    {"NLST", FtpVerb::kRetrieve},
    {"NOOP", FtpVerb::kNoop},
    {"OPTS", FtpVerb::kOther, Blanks::kMeanNothing},
    {"PASV", FtpVerb::kPasv},
    {"PBSZ", FtpVerb::kPbsz},
    {"PORT", FtpVerb::kPort},
    {"PROT", FtpVerb::kProt},
    {"PWD", FtpVerb::kOther, Blanks::kMeanNothing},
    {"QUIT", FtpVerb::kQuit},
    {"RANG"},
    {"REIN", FtpVerb::kRefused},
    {"REST", FtpVerb::kOther, Blanks::kMeanNothing},
    {"RETR", FtpVerb::kRetrieve},
    {"RMD"},
    {"RNFR"},
    {"RNTO"},
    {"SITE"},
    {"SIZE"},
    {"SMNT", FtpVerb::kRefused},
    {"SPSV", FtpVerb::kRefused},
    {"SSCN", FtpVerb::kRefused},
    {"STAT"},
    {"STOR", FtpVerb::kStore},
    {"STOU", FtpVerb::kStore},
    {"STRU", FtpVerb::kOther, Blanks::kMeanNothing},
    {"SYST", FtpVerb::kOther, Blanks::kMeanNothing},
    {"TYPE", FtpVerb::kOther, Blanks::kMeanNothing},
    {"XCUP", FtpVerb::kOther, Blanks::kMeanNothing},
    {"XCWD"},
    {"XMKD"},
    {"XPWD", FtpVerb::kOther, Blanks::kMeanNothing},
    {"XRMD"},
});

struct VerbRow {
  FtpVerb verb;
  FtpVerbTraits traits;
};

using Waits = FtpVerbTraits::Waits;
constexpr auto kVerbs = std::to_array<VerbRow>({
    {FtpVerb::kUnknown, {.blanks_count = true, .streams = true}},
    {FtpVerb::kOther, {.streams = true}},  // the word decides whether blanks count
    {FtpVerb::kNoop, {.streams = true}},
    {FtpVerb::kRetrieve, {.waits = Waits::kForTransfer, .blanks_count = true, .streams = true}},
    {FtpVerb::kStore, {.waits = Waits::kForTransfer, .blanks_count = true, .streams = true}},
    {FtpVerb::kAbor, {}},
    {FtpVerb::kQuit, {}},
    {FtpVerb::kFeat, {}},
    {FtpVerb::kPasv, {.waits = Waits::kForChannel}},
    {FtpVerb::kEpsv, {.waits = Waits::kForChannel}},
    {FtpVerb::kPort, {.waits = Waits::kForLogInAndChannel}},
    {FtpVerb::kEprt, {.waits = Waits::kForLogInAndChannel}},
    {FtpVerb::kMode, {}},
    {FtpVerb::kAuth, {.hides_feature = true}},
    {FtpVerb::kPbsz, {.hides_feature = true}},
    {FtpVerb::kProt, {.hides_feature = true}},
    {FtpVerb::kCcc, {.hides_feature = true}},
    {FtpVerb::kRefused, {.hides_feature = true}},
});

constexpr bool IsInOrder() {
  for (size_t i = 0; i < kVerbs.size(); ++i) {
    if (static_cast<size_t>(kVerbs[i].verb) != i) return false;
  }
  return kVerbs.back().verb == FtpVerb::kRefused;
}
static_assert(IsInOrder());

// Null if `word` is not a plain word, or is not in the table.
const Word* FindWord(std::string_view word) {
  const auto* const found = std::ranges::find_if(
      kWords, [word](const Word& known) { return EqualsIgnoreCase(word, known.word); });
  return found == kWords.end() ? nullptr : found;
}

bool IsPlainWord(std::string_view word) { return word.size() <= kFtpMaxVerb && IsVerb(word); }

FtpVerb VerbOf(std::string_view word, const Word* known) {
  if (!IsPlainWord(word)) return FtpVerb::kUnknown;
  return known == nullptr ? FtpVerb::kOther : known->verb;
}

bool BlanksCount(FtpVerb verb, const Word* known) {
  if (verb != FtpVerb::kOther) return TraitsOf(verb).blanks_count;
  return known == nullptr || known->blanks == Blanks::kCount;
}

// All of `text` as a decimal number, at most `most`.
std::optional<uint32_t> Number(std::string_view text, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most) return {};
  return value;
}

// Six numbers of one octet each, separated by commas.
std::optional<std::array<uint8_t, 6>> SixOctets(std::string_view text) {
  std::array<uint8_t, 6> octets{};
  for (size_t i = 0; i < octets.size(); ++i) {
    const size_t comma = text.find(',');
    if ((comma == std::string_view::npos) != (i + 1 == octets.size())) return {};
    const auto value = Number(text.substr(0, comma), UINT8_MAX);
    if (!value) return {};
    octets[i] = static_cast<uint8_t>(*value);
    if (comma != std::string_view::npos) text.remove_prefix(comma + 1);
  }
  return octets;
}

uint16_t PortOf(const std::array<uint8_t, 6>& octets) {
  return static_cast<uint16_t>(octets[4] << 8 | octets[5]);
}

std::optional<uint16_t> NotZero(uint16_t port) {
  return port == 0 ? std::nullopt : std::optional<uint16_t>(port);
}

bool IsHostPort(char c) { return IsDigit(c) || c == ','; }

// The text in the brackets of a reply; empty if there are none.
std::string_view Bracketed(std::string_view text) {
  const size_t open = text.find('(');
  if (open == std::string_view::npos) return {};
  const size_t close = text.find(')', open);
  if (close == std::string_view::npos) return {};
  return text.substr(open + 1, close - open - 1);
}

bool ParseIp(std::string_view text, Endpoint& endpoint) {
  // inet_pton needs a terminated text.
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return false;
  std::ranges::copy(text, copy.begin());
  const int family = endpoint.family == Endpoint::Family::kV4 ? AF_INET : AF_INET6;
  return inet_pton(family, copy.data(), endpoint.ip.data()) == 1;
}

}  // namespace

std::string_view Text(FtpReply reply) { return kReplies[static_cast<size_t>(reply)]; }

const FtpVerbTraits& TraitsOf(FtpVerb verb) { return kVerbs[static_cast<size_t>(verb)].traits; }

FtpVerb FindFtpVerb(std::string_view word) { return VerbOf(word, FindWord(word)); }

bool NeedsTls(std::string_view word) {
  const Word* const known = FindWord(word);
  return known != nullptr && known->before_tls == BeforeTls::kRefused;
}

FtpCommand ParseFtpCommand(std::string_view line) {
  line = StripTelnet(line);
  const size_t end = line.find_first_of(kBlanks);
  FtpCommand command;
  command.word = line.substr(0, end);
  const Word* const known = FindWord(command.word);
  command.verb = VerbOf(command.word, known);
  command.blanks_count = BlanksCount(command.verb, known);
  if (end == std::string_view::npos) return command;
  command.argument = line.substr(end + 1);
  if (!command.blanks_count) command.argument = Trim(command.argument, kBlanks);
  return command;
}

std::string_view StripTelnet(std::string_view line) {
  while (line.starts_with("\xff\xf4") || line.starts_with("\xff\xf2")) line.remove_prefix(2);
  return line;
}

FtpReplyLine ParseFtpReplyLine(std::string_view text, int amid) {
  constexpr size_t kDigits = 3;
  FtpReplyLine reply{.text = text};
  int code = 0;
  if (text.size() >= kDigits && std::ranges::all_of(text.substr(0, kDigits), IsDigit)) {
    code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  }
  const bool ends = text.size() == kDigits || (text.size() > kDigits && text[kDigits] == ' ');
  if (amid != 0) {
    reply.code = amid;
    reply.last = code == amid && ends;
    return reply;
  }
  const bool goes_on = text.size() > kDigits && text[kDigits] == '-';
  if (code < 100 || code > 599 || (!ends && !goes_on)) return reply;
  reply.code = code;
  reply.first = true;
  reply.last = ends;
  return reply;
}

bool NamesDataAddress(std::string_view line, bool cut) {
  constexpr size_t kDigits = 3;
  // Clients skip Telnet commands, white space and control characters before a code.
  const auto is_shown = [](char c) { return c > ' ' && c < '\x7f'; };
  line.remove_prefix(static_cast<size_t>(std::ranges::find_if(line, is_shown) - line.begin()));
  const uint32_t code = Number(line.substr(0, kDigits), UINT16_MAX).value_or(0);
  if (line.size() <= kDigits || !IsPassiveCode(static_cast<int>(code)) || IsDigit(line[kDigits])) {
    return false;
  }
  line.remove_prefix(kDigits);
  return cut || line.find('(') != std::string_view::npos || std::ranges::count(line, ',') >= 3;
}

// RFC 1123 section 4.1.2.6: finds the numbers with or without brackets. A code before them
// is a single number, so it cannot pass for an address.
std::optional<uint16_t> PortOf227(std::string_view text) {
  while (!text.empty()) {
    const auto* const begin = std::ranges::find_if(text, IsDigit);
    text.remove_prefix(static_cast<size_t>(begin - text.begin()));
    const auto* const end = std::ranges::find_if_not(text, IsHostPort);
    const size_t size = static_cast<size_t>(end - text.begin());
    if (const auto octets = SixOctets(text.substr(0, size))) return NotZero(PortOf(*octets));
    text.remove_prefix(size);
  }
  return {};
}

std::optional<uint16_t> PortOf229(std::string_view text) {
  const std::string_view inner = Bracketed(text);
  constexpr size_t kDelimiters = 3;
  if (inner.size() < kDelimiters + 2) return {};
  const char delimiter = inner[0];
  if (IsDigit(delimiter) || inner[1] != delimiter || inner[2] != delimiter ||
      inner.back() != delimiter) {
    return {};
  }
  const auto port = Number(inner.substr(kDelimiters, inner.size() - kDelimiters - 1), UINT16_MAX);
  return port ? NotZero(static_cast<uint16_t>(*port)) : std::nullopt;
}

std::optional<Endpoint> ParsePort(std::string_view argument) {
  const auto octets = SixOctets(argument);
  if (!octets) return {};
  Endpoint endpoint{.family = Endpoint::Family::kV4, .port = PortOf(*octets)};
  std::copy_n(octets->begin(), 4, endpoint.ip.begin());
  return endpoint;
}

// "|1|132.235.1.2|6275|", "|2|1080::8:800:200C:417A|5282|": RFC 2428 section 2.
std::optional<Endpoint> ParseEprt(std::string_view argument) {
  if (argument.empty() || argument[0] <= 0x20 || argument[0] > 0x7e || IsDigit(argument[0])) {
    return {};
  }
  const char delimiter = argument[0];
  std::array<std::string_view, 3> parts;
  argument.remove_prefix(1);
  for (std::string_view& part : parts) {
    const size_t end = argument.find(delimiter);
    if (end == std::string_view::npos) return {};
    part = argument.substr(0, end);
    argument.remove_prefix(end + 1);
  }
  Endpoint endpoint;
  if (parts[0] == "1") endpoint.family = Endpoint::Family::kV4;
  if (parts[0] == "2") endpoint.family = Endpoint::Family::kV6;
  const auto port = Number(parts[2], UINT16_MAX);
  if (!argument.empty() || endpoint.family == Endpoint::Family::kNone || !port) return {};
  if (!ParseIp(parts[1], endpoint)) return {};
  endpoint.port = static_cast<uint16_t>(*port);
  return endpoint;
}

void SayHostPort(const Endpoint& address, Writer& out) {
  std::array<char, 32> text;
  char* at = text.data();
  const auto put = [&](uint32_t value) {
    if (at != text.data()) *at++ = ',';
    at = std::to_chars(at, text.data() + text.size(), value).ptr;
  };
  for (size_t i = 0; i < 4; ++i) put(address.ip[i]);
  put(address.port >> 8);
  put(address.port & 0xff);
  Say(out, {{text.data(), static_cast<size_t>(at - text.data())}});
}

void SayPortCommand(const Endpoint& address, Writer& out) {
  if (address.family == Endpoint::Family::kV4) {
    Say(out, {"PORT "});
    SayHostPort(address, out);
    Say(out, {"\r\n"});
    return;
  }
  std::array<char, INET6_ADDRSTRLEN> ip{};
  inet_ntop(AF_INET6, address.ip.data(), ip.data(), ip.size());
  std::array<char, 8> port{};
  std::to_chars(port.data(), port.data() + port.size() - 1, address.port);
  Say(out, {"EPRT |2|", ip.data(), "|", port.data(), "|\r\n"});
}

}  // namespace starling
