#include "bench/fake_mail_server.h"

#include <strings.h>

#include <algorithm>

namespace starling::bench {

namespace {

constexpr size_t kMailOctets = 4096;

std::string_view Mail() {
  static const std::string mail = [] {
    std::string text =
        "From: <sender@example.net>\r\nTo: <user@example.org>\r\nSubject: load\r\n\r\n";
    while (text.size() < kMailOctets) text.append(70, 'm').append("\r\n");
    return text;
  }();
  return mail;
}

bool Is(std::string_view word, std::string_view upper) {
  return word.size() == upper.size() && strncasecmp(word.data(), upper.data(), upper.size()) == 0;
}

// Removes the first word and returns it.
std::string_view Word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), word.size() + 1));
  return word;
}

}  // namespace

std::string_view FakeMailServer::Greeting() const {
  switch (protocol_) {
    case Protocol::kSmtp:
      return "220 mail.example.org ESMTP\r\n";
    case Protocol::kLmtp:
      return "220 mail.example.org LMTP\r\n";
    case Protocol::kImap:
      return "* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN] ready\r\n";
    case Protocol::kPop3:
      return "+OK ready\r\n";
    case Protocol::kManageSieve:
      return "\"IMPLEMENTATION\" \"load\"\r\n\"SASL\" \"PLAIN\"\r\n\"SIEVE\" \"fileinto\"\r\n"
             "\"VERSION\" \"1.0\"\r\nOK \"ready\"\r\n";
  }
  return "";
}

bool FakeMailServer::Take(std::string_view octets, std::string& answer) {
  while (!octets.empty()) {
    const size_t end = octets.find('\n');
    const std::string_view part = octets.substr(0, end);
    const size_t kept = std::min(part.size(), line_.size() - line_size_);
    std::copy_n(part.data(), kept, line_.data() + line_size_);
    line_size_ += kept;
    if (end == std::string_view::npos) break;
    octets.remove_prefix(end + 1);
    std::string_view line(line_.data(), line_size_);
    line_size_ = 0;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!Line(line, answer)) return false;
  }
  return true;
}

bool FakeMailServer::Line(std::string_view line, std::string& answer) {
  switch (protocol_) {
    case Protocol::kSmtp:
    case Protocol::kLmtp:
      return Smtp(line, answer);
    case Protocol::kImap:
      return Imap(line, answer);
    case Protocol::kPop3:
      return Pop3(line, answer);
    case Protocol::kManageSieve:
      return ManageSieve(line, answer);
  }
  return false;
}

bool FakeMailServer::Smtp(std::string_view line, std::string& answer) {
  if (expects_ == Expects::kMail) {
    if (line != ".") return true;
    expects_ = Expects::kCommand;
    answer += "250 2.0.0 taken\r\n";
    return true;
  }
  const std::string_view verb = Word(line);
  if (Is(verb, "EHLO") || Is(verb, "LHLO")) {
    answer +=
        "250-mail.example.org\r\n250-AUTH PLAIN LOGIN\r\n250-8BITMIME\r\n"
        "250-ENHANCEDSTATUSCODES\r\n250 SIZE 10240000\r\n";
  } else if (Is(verb, "AUTH")) {
    answer += "235 2.7.0 welcome\r\n";
  } else if (Is(verb, "DATA")) {
    expects_ = Expects::kMail;
    answer += "354 go on\r\n";
  } else if (Is(verb, "XCLIENT")) {
    answer += Greeting();
  } else if (Is(verb, "QUIT")) {
    answer += "221 2.0.0 bye\r\n";
    return false;
  } else {
    answer += "250 2.0.0 ok\r\n";
  }
  return true;
}

// Handles further lines of a command that spans several: LOGIN with literals, IDLE,
// AUTHENTICATE.
void FakeMailServer::ImapArgument(std::string_view line, std::string& answer) {
  if (line.ends_with('}')) {
    answer += "+ OK\r\n";
    return;
  }
  expects_ = Expects::kCommand;
  answer.append(tag_.data(), tag_size_).append(" OK done\r\n");
}

bool FakeMailServer::Imap(std::string_view line, std::string& answer) {
  if (expects_ != Expects::kCommand) {
    ImapArgument(line, answer);
    return true;
  }
  const std::string_view tag = Word(line).substr(0, tag_.size());
  const std::string_view verb = Word(line);
  const bool more = Is(verb, "IDLE") || (Is(verb, "AUTHENTICATE") && line.find(' ') == line.npos);
  if (more || line.ends_with('}')) {
    std::copy_n(tag.data(), tag.size(), tag_.data());
    tag_size_ = tag.size();
    expects_ = Expects::kArgument;
    answer += "+ go on\r\n";
    return true;
  }
  if (Is(verb, "CAPABILITY")) {
    answer += "* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN\r\n";
  } else if (Is(verb, "SELECT") || Is(verb, "EXAMINE")) {
    answer += "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] ok\r\n";
  } else if (Is(verb, "FETCH")) {
    answer += "* 1 FETCH (BODY[] {" + std::to_string(Mail().size()) + "}\r\n";
    answer.append(Mail()).append(")\r\n");
  } else if (Is(verb, "LOGOUT")) {
    answer += "* BYE\r\n";
  }
  answer.append(tag).append(" OK done\r\n");
  return !Is(verb, "LOGOUT");
}

bool FakeMailServer::Pop3(std::string_view line, std::string& answer) const {
  const std::string_view verb = Word(line);
  const std::string size = std::to_string(Mail().size());
  if (Is(verb, "CAPA")) {
    answer += "+OK\r\nUSER\r\nSASL PLAIN\r\nUIDL\r\n.\r\n";
  } else if (Is(verb, "STAT")) {
    answer += "+OK 1 " + size + "\r\n";
  } else if (Is(verb, "LIST") && line.empty()) {
    answer += "+OK\r\n1 " + size + "\r\n.\r\n";
  } else if (Is(verb, "RETR")) {
    answer.append("+OK\r\n").append(Mail()).append(".\r\n");
  } else {
    answer += "+OK\r\n";
  }
  return !Is(verb, "QUIT");
}

bool FakeMailServer::ManageSieve(std::string_view line, std::string& answer) const {
  const std::string_view verb = Word(line);
  if (Is(verb, "CAPABILITY")) {
    answer += Greeting();
  } else {
    answer += "OK\r\n";
  }
  return !Is(verb, "LOGOUT");
}

}  // namespace starling::bench
