#include "gateway/command_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace starling {
namespace {

using Mode = CommandLine::Mode;

CommandLine Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "starling");
  return ParseCommandLine(static_cast<int>(words.size()), words.data());
}

struct Good {
  std::vector<const char*> words;
  Mode mode;
  std::string file;
};

TEST(CommandLine, UnderstandsWhatIsDocumented) {
  const Good table[] = {
      {{}, Mode::kRun, kDefaultConfigFile},
      {{"-c", "a.yaml"}, Mode::kRun, "a.yaml"},
      {{"-ca.yaml"}, Mode::kRun, "a.yaml"},
      {{"-c", "-"}, Mode::kRun, "-"},
      {{"-t"}, Mode::kCheck, kDefaultConfigFile},
      {{"-t", "-c", "a.yaml"}, Mode::kCheck, "a.yaml"},
      {{"-c", "a.yaml", "-t"}, Mode::kCheck, "a.yaml"},
      {{"-tc", "a.yaml"}, Mode::kCheck, "a.yaml"},
      {{"-tca.yaml"}, Mode::kCheck, "a.yaml"},
      {{"-t", "-t"}, Mode::kCheck, kDefaultConfigFile},
      {{"-T", "-c", "a.yaml"}, Mode::kPrint, "a.yaml"},
      {{"-V"}, Mode::kVersion, kDefaultConfigFile},
      {{"-h"}, Mode::kHelp, kDefaultConfigFile},
      {{"--help"}, Mode::kHelp, kDefaultConfigFile},
      {{"--sample"}, Mode::kSample, kDefaultConfigFile},
  };
  for (const Good& row : table) {
    const CommandLine line = Parse(row.words);
    const std::string name = row.words.empty() ? "no words" : row.words.front();
    EXPECT_EQ(line.mode, row.mode) << name << ": " << line.error;
    EXPECT_EQ(line.file, row.file) << name;
    EXPECT_EQ(line.error, "") << name;
  }
}

struct Bad {
  std::vector<const char*> words;
  std::string error;
};

TEST(CommandLine, SaysWhatItDoesNotUnderstand) {
  const Bad table[] = {
      {{"-x"}, "unknown option -x"},
      {{"-tx"}, "unknown option -x"},
      {{"--smaple"}, "unknown option --smaple"},
      {{"--"}, "unknown option --"},
      {{"-c"}, "-c needs the name of a file"},
      {{"-c", ""}, "-c needs the name of a file"},
      {{"-c", "a", "-c", "b"}, "-c is given twice"},
      {{"a.yaml"}, "\"a.yaml\" is not an option"},
      {{"-"}, "\"-\" is not an option"},
      {{""}, "\"\" is not an option"},
      {{"-t", "-T"}, "-T and another option each ask for a different thing"},
      {{"-V", "--sample"}, "--sample and another option each ask for a different thing"},
  };
  for (const Bad& row : table) {
    const CommandLine line = Parse(row.words);
    EXPECT_EQ(line.mode, Mode::kError) << row.error;
    EXPECT_EQ(line.error.find("starling: " + row.error), 0u) << line.error;
    EXPECT_EQ(line.error.back(), '\n');
  }
}

TEST(CommandLine, HelpNamesEveryOptionAndExitCode) {
  const std::string help = HelpText();
  for (const char* word : {"-c FILE", "-t", "-T", "-V", "--sample", "--help", kDefaultConfigFile}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
  for (const ExitCode code : {ExitCode::kOk, ExitCode::kCommandLine, ExitCode::kConfiguration,
                              ExitCode::kBind, ExitCode::kIoUring, ExitCode::kOther}) {
    const std::string line = "\n  " + std::to_string(static_cast<int>(code)) + "  ";
    EXPECT_NE(help.find(line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace starling
