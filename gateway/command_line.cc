#include "gateway/command_line.h"

#include <getopt.h>

#include <iterator>
#include <string_view>
#include <vector>

namespace starling {
namespace {

using Mode = CommandLine::Mode;

// Beyond all characters: --sample has no letter.
constexpr int kSampleOption = 256;

constexpr option kOptions[] = {{"config", required_argument, nullptr, 'c'},
                               {"check", no_argument, nullptr, 't'},
                               {"print", no_argument, nullptr, 'T'},
                               {"sample", no_argument, nullptr, kSampleOption},
                               {"version", no_argument, nullptr, 'V'},
                               {"help", no_argument, nullptr, 'h'},
                               {nullptr, 0, nullptr, 0}};

// '-': words that are no options are reported in their place. ':': so is a missing argument.
constexpr char kLetters[] = "-:c:tTVh";

Mode ModeOf(int found) {
  switch (found) {
    case 't':
      return Mode::kCheck;
    case 'T':
      return Mode::kPrint;
    case 'V':
      return Mode::kVersion;
    case kSampleOption:
      return Mode::kSample;
    default:
      return Mode::kHelp;
  }
}

// "-t, --check", as an error names an option.
std::string NameOf(int found) {
  for (const option& row : kOptions) {
    if (row.name == nullptr || row.val != found) continue;
    const std::string word = std::string("--") + row.name;
    return found == kSampleOption ? word
                                  : std::string("-") + static_cast<char>(found) + ", " + word;
  }
  return "";
}

class Parser {
 public:
  Parser(int argc, const char* const* argv) : words_(argv, argv + argc) {
    for (std::string& word : words_) argv_.push_back(word.data());
    argv_.push_back(nullptr);
  }

  CommandLine Parse() {
    optind = 0;  // begins anew
    opterr = 0;  // errors are ours
    while (line_.mode != Mode::kError) {
      const int before = optind == 0 ? 1 : optind;
      const int argc = static_cast<int>(words_.size());
      const int found = getopt_long(argc, argv_.data(), kLetters, kOptions, nullptr);
      if (found == -1) break;
      Take(found, argv_[static_cast<size_t>(before)]);
    }
    if (line_.mode != Mode::kError && static_cast<size_t>(optind) < words_.size()) {
      NotAnOption(argv_[static_cast<size_t>(optind)]);
    }
    return line_;
  }

 private:
  void Fail(const std::string& why) {
    line_.mode = Mode::kError;
    line_.error = "starling: " + why + "; try 'starling --help'\n";
  }

  void NotAnOption(const std::string& word) {
    Fail("\"" + word + "\" is not an option; name a configuration file with --config");
  }

  // `word`: what holds the option.
  void Take(int found, const std::string& word) {
    switch (found) {
      case 1:
        NotAnOption(optarg);
        return;
      case ':':
        Fail("the option " + NameOf(optopt) + " needs the name of a file");
        return;
      case '?':
        Unknown(word);
        return;
      case 'c':
        TakeFile();
        return;
      default:
        TakeMode(found);
    }
  }

  void Unknown(const std::string& word) {
    if (!word.starts_with("--")) {
      Fail(std::string("unknown option -") + static_cast<char>(optopt));
    } else if (optopt != 0) {
      Fail("the option " + NameOf(optopt) + " takes no value");
    } else {
      Fail("unknown option " + word.substr(0, word.find('=')));
    }
  }

  void TakeMode(int found) {
    const Mode mode = ModeOf(found);
    if (line_.mode != Mode::kRun && line_.mode != mode) {
      Fail("the options " + NameOf(mode_option_) + " and " + NameOf(found) + " exclude each other");
      return;
    }
    mode_option_ = found;
    line_.mode = mode;
  }

  void TakeFile() {
    const std::string_view file = optarg;
    if (file.empty()) {
      Fail("the option " + NameOf('c') + " needs the name of a file");
    } else if (have_file_) {
      Fail("the option " + NameOf('c') + " is given twice");
    }
    have_file_ = true;
    line_.file = file;
  }

  std::vector<std::string> words_;
  std::vector<char*> argv_;
  int mode_option_ = 0;
  bool have_file_ = false;
  CommandLine line_;
};

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  return Parser(argc, argv).Parse();
}

std::string HelpText() {
  return std::string(R"(Starling, a TLS gateway for mail and other protocols.

Usage: starling [OPTION]...
Without -t, -T, --sample, -V or -h, run the gateway in the foreground.

  -c, --config FILE   the configuration file (default: )") +
         kDefaultConfigFile + R"()
  -t, --check         check the configuration and the files that it names, and warn
                      of settings that are allowed but dangerous
  -T, --print         print the configuration in effect, defaults included
      --sample        print a sample configuration that explains every option
  -V, --version       print the version, the commit and how it was built
  -h, --help          print this text

Signals: TERM, INT or QUIT drains the gateway and ends it. A TERM or INT during the drain
ends it at once. HUP reloads the configuration. USR1 has no effect but a line in the log,
which goes to standard output; the gateway ignores USR2, ALRM and the like.

Exit codes:
  0  success: the gateway was asked to end, or the check found no error
  1  wrong option on the command line
  2  error in the configuration, or in a certificate or key that it names
  3  an address cannot be bound
  4  no ring can be made: io_uring is not available where the configuration insists on
     it, or a limit of the process is too low; the message says why
  5  any other failure at start
)";
}

}  // namespace starling
