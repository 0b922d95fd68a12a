#include "bench/dialogue.h"

#include <algorithm>
#include <string>
#include <vector>

namespace starling::bench {

namespace {

constexpr std::string_view kSmtpRefusals[] = {"4", "5"};
constexpr std::string_view kImapRefusals[] = {"a NO", "a BAD"};
constexpr std::string_view kPop3Refusals[] = {"-ERR"};
constexpr std::string_view kSieveRefusals[] = {"NO", "BYE"};

constexpr Turn kSmtpStartTls[] = {
    {"", "220 "}, {"EHLO load.example.net\r\n", "250 "}, {"STARTTLS\r\n", "220 "}};
constexpr Turn kLmtpStartTls[] = {
    {"", "220 "}, {"LHLO load.example.net\r\n", "250 "}, {"STARTTLS\r\n", "220 "}};
constexpr Turn kImapStartTls[] = {
    {"", "* OK"}, {"a CAPABILITY\r\n", "a OK"}, {"a STARTTLS\r\n", "a OK"}};
constexpr Turn kPop3StartTls[] = {{"", "+OK"}, {"CAPA\r\n", "."}, {"STLS\r\n", "+OK"}};
constexpr Turn kSieveStartTls[] = {{"", "OK"}, {"STARTTLS\r\n", "OK"}};

struct Row {
  std::string_view protocol;
  Script script;
};

constexpr Row kStartTlsRows[] = {
    {"smtp", {kSmtpStartTls, kSmtpRefusals}},          {"lmtp", {kLmtpStartTls, kSmtpRefusals}},
    {"imap", {kImapStartTls, kImapRefusals}},          {"pop3", {kPop3StartTls, kPop3Refusals}},
    {"managesieve", {kSieveStartTls, kSieveRefusals}},
};

constexpr size_t kMailOctets = 4096;

// Headers and body, with the final dot.
std::string_view Mail() {
  static const std::string mail = [] {
    std::string text =
        "From: <load@example.net>\r\nTo: <user@example.org>\r\nSubject: load\r\n\r\n";
    while (text.size() < kMailOctets) text.append(70, 'm').append("\r\n");
    return text + ".\r\n";
  }();
  return mail;
}

// The name is "user", the password "secret".
const Script& SmtpVisit() {
  static const std::vector<Turn> turns = {
      {"", "220 "},
      {"EHLO load.example.net\r\n", "250 "},
      {"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "235 "},
      {"MAIL FROM:<load@example.net>\r\n", "250 "},
      {"RCPT TO:<user@example.org>\r\n", "250 "},
      {"DATA\r\n", "354 "},
      {Mail(), "250 "},
      {"QUIT\r\n", "221 "},
  };
  static const Script script{turns, kSmtpRefusals};
  return script;
}

constexpr Turn kImapVisit[] = {
    {"", "* OK"},
    {"a LOGIN user secret\r\n", "a OK"},
    {"a SELECT INBOX\r\n", "a OK"},
    {"a IDLE\r\n", "+ "},
    {"DONE\r\n", "a OK"},
    {"a FETCH 1 BODY[]\r\n", "a OK"},
    {"a LOGOUT\r\n", "a OK"},
};
constexpr Script kImapVisitScript{kImapVisit, kImapRefusals};

}  // namespace

const Script* StartTlsScript(std::string_view protocol) {
  for (const Row& row : kStartTlsRows) {
    if (row.protocol == protocol) return &row.script;
  }
  return nullptr;
}

const Script* MailScript(std::string_view protocol) {
  return protocol == "smtp" ? &SmtpVisit() : &kImapVisitScript;
}

void Dialogue::Begin(const Script& script, size_t turn) {
  script_ = &script;
  turn_ = turn;
  line_size_ = 0;
  StartTurn();
}

std::string_view Dialogue::Say() {
  state_ = State::kWait;
  return script_->turns[turn_].say;
}

size_t Dialogue::Take(std::string_view octets) {
  size_t taken = 0;
  while (taken < octets.size() && state_ == State::kWait) {
    const std::string_view rest = octets.substr(taken);
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    const size_t kept = std::min(line.size(), line_.size() - line_size_);
    std::copy_n(line.data(), kept, line_.data() + line_size_);
    line_size_ += kept;
    taken += line.size();
    if (end == std::string_view::npos) break;
    ++taken;
    LineEnded();
  }
  return taken;
}

void Dialogue::LineEnded() {
  const std::string_view line(line_.data(), line_size_);
  line_size_ = 0;
  if (line.starts_with(script_->turns[turn_].ends)) {
    ++turn_;
    StartTurn();
    return;
  }
  for (const std::string_view refusal : script_->refusals) {
    if (line.starts_with(refusal)) state_ = State::kFailed;
  }
}

void Dialogue::StartTurn() {
  if (turn_ == script_->turns.size()) {
    state_ = State::kDone;
  } else {
    state_ = script_->turns[turn_].say.empty() ? State::kWait : State::kSay;
  }
}

}  // namespace starling::bench
