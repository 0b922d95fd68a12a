#include "gateway/command_line.h"

#include <optional>
#include <string_view>

namespace starling {
namespace {

using Mode = CommandLine::Mode;

std::optional<Mode> ModeOf(char letter) {
  switch (letter) {
    case 't':
      return Mode::kCheck;
    case 'T':
      return Mode::kPrint;
    case 'V':
      return Mode::kVersion;
    case 'h':
      return Mode::kHelp;
    default:
      return std::nullopt;
  }
}

std::optional<Mode> ModeOf(std::string_view word) {
  if (word == "--help") return Mode::kHelp;
  if (word == "--sample") return Mode::kSample;
  return std::nullopt;
}

class Parser {
 public:
  Parser(int argc, const char* const* argv) : argc_(argc), argv_(argv) {}

  CommandLine Parse() {
    for (next_ = 1; next_ < argc_ && line_.mode != Mode::kError;) {
      const std::string_view word = argv_[next_++];
      if (word.starts_with("--")) {
        TakeMode(ModeOf(word), word);
      } else if (word.size() > 1 && word[0] == '-') {
        TakeLetters(word.substr(1));
      } else {
        Fail("\"" + std::string(word) + "\" is not an option; a file is named by -c");
      }
    }
    return line_;
  }

 private:
  void Fail(const std::string& why) {
    line_.mode = Mode::kError;
    line_.error = "starling: " + why + "; starling --help tells what there is\n";
  }

  void TakeMode(std::optional<Mode> mode, std::string_view word) {
    if (!mode) {
      Fail("unknown option " + std::string(word));
    } else if (line_.mode != Mode::kRun && line_.mode != *mode) {
      Fail(std::string(word) + " and another option each ask for a different thing");
    } else {
      line_.mode = *mode;
    }
  }

  // "t", "tc" with the file in the next word, "cFILE", "tcFILE".
  void TakeLetters(std::string_view letters) {
    while (!letters.empty() && line_.mode != Mode::kError) {
      const char letter = letters.front();
      letters.remove_prefix(1);
      if (letter == 'c') {
        TakeFile(letters);
        return;
      }
      TakeMode(ModeOf(letter), std::string("-") + letter);
    }
  }

  void TakeFile(std::string_view rest) {
    if (rest.empty() && next_ < argc_) rest = argv_[next_++];
    if (rest.empty()) {
      Fail("-c needs the name of a file");
    } else if (have_file_) {
      Fail("-c is given twice");
    }
    have_file_ = true;
    line_.file = rest;
  }

  int argc_;
  const char* const* argv_;
  int next_ = 1;
  bool have_file_ = false;
  CommandLine line_;
};

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  return Parser(argc, argv).Parse();
}

std::string HelpText() {
  return std::string(R"(Starling, a TLS gateway for mail.

  starling -c FILE      run, in the foreground
  starling -t -c FILE   check the configuration, and warn of what is legal but dangerous
  starling -T -c FILE   print the effective configuration, defaults included
  starling --sample     print a configuration with every option explained
  starling -V           print the version, and what it is built with
  starling -h, --help   print this

Without -c the file is )") +
         kDefaultConfigFile + R"(.

Signals: TERM and INT drain and exit, a second one stops at once.

Exit codes:
  0  ended as asked to
  1  the command line is not understood
  2  bad configuration: the file, a certificate or a key
  3  an address cannot be listened on
  4  io_uring is not available; what forbids it is said
  5  any other failure at start
)";
}

}  // namespace starling
