// The command line and the exit codes, without side effects, so that tests can try them.
//
// Not for: doing what is asked (main.cc).
#pragma once

#include <string>

namespace starling {

inline constexpr char kDefaultConfigFile[] = "/etc/starling/starling.yaml";

// An interface of the program, documented in HelpText().
enum class ExitCode : int {
  kOk = 0,             // asked to end, or the check found no error
  kCommandLine = 1,    // a wrong option
  kConfiguration = 2,  // an error in the file, a certificate or a key
  kBind = 3,           // an address cannot be bound
  kRing = 4,           // no ring can be made
  kOther = 5,          // any other failure at start
};

struct CommandLine {
  enum class Mode {
    kRun,      // only -c, --config, or nothing
    kCheck,    // -t, --check
    kPrint,    // -T, --print
    kVersion,  // -V, --version
    kSample,   // --sample
    kHelp,     // -h, --help
    kError,    // `error` says what is wrong, and ends its line
  };

  Mode mode = Mode::kRun;
  std::string file = kDefaultConfigFile;
  std::string error;
};

// As main() gets them; argv[0] is the program's name. For one thread at a time: getopt_long
// keeps its place in global variables.
CommandLine ParseCommandLine(int argc, const char* const* argv);

std::string HelpText();

}  // namespace starling
