// A fake mail server, for the backend of the load generator: it answers a log-in and a
// mail and checks nothing.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace starling::bench {

class FakeMailServer {
 public:
  enum class Protocol : unsigned char { kSmtp, kLmtp, kImap, kPop3, kManageSieve };

  explicit FakeMailServer(Protocol protocol) : protocol_(protocol) {}

  std::string_view Greeting() const;
  // Takes octets from the client and appends the answers. False after the goodbye.
  bool Take(std::string_view octets, std::string& answer);

 private:
  bool Line(std::string_view line, std::string& answer);
  bool Smtp(std::string_view line, std::string& answer);
  bool Imap(std::string_view line, std::string& answer);
  void ImapArgument(std::string_view line, std::string& answer);
  bool Pop3(std::string_view line, std::string& answer) const;
  bool ManageSieve(std::string_view line, std::string& answer) const;

  // What the next line is.
  enum class Expects : unsigned char { kCommand, kMail, kArgument };

  const Protocol protocol_;
  Expects expects_ = Expects::kCommand;
  std::array<char, 16> tag_{};  // of the incomplete IMAP command
  size_t tag_size_ = 0;
  // The beginning of the incomplete line, as much as the answers depend on.
  std::array<char, 256> line_{};
  size_t line_size_ = 0;
};

}  // namespace starling::bench
