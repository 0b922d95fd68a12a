// The command line and the exit codes: pure, so that both can be tested.
//
// Not for: doing what is asked (main.cc).
#pragma once

#include <string>

namespace starling {

inline constexpr char kDefaultConfigFile[] = "/etc/starling/starling.yaml";

// An interface of the program, documented in HelpText().
enum class ExitCode : int {
  kOk = 0,             // ended as asked to
  kCommandLine = 1,    // arguments that are not understood
  kConfiguration = 2,  // the file, a certificate or a key is not good
  kBind = 3,           // an address cannot be listened on
  kIoUring = 4,        // the kernel does not let io_uring be used
  kOther = 5,          // any other failure at start
};

struct CommandLine {
  enum class Mode {
    kRun,      // -c FILE
    kCheck,    // -t
    kPrint,    // -T
    kVersion,  // -V
    kSample,   // --sample
    kHelp,     // -h, --help
    kError,    // `error` says what is wrong, and ends its line
  };

  Mode mode = Mode::kRun;
  std::string file = kDefaultConfigFile;
  std::string error;
};

// As main() gets them; argv[0] is the program's name.
CommandLine ParseCommandLine(int argc, const char* const* argv);

std::string HelpText();

}  // namespace starling
