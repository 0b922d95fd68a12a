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
      {{"--config", "a.yaml"}, Mode::kRun, "a.yaml"},
      {{"--config=a.yaml"}, Mode::kRun, "a.yaml"},
      {{"--check", "--config=a.yaml"}, Mode::kCheck, "a.yaml"},
      {{"--config", "a.yaml", "--check"}, Mode::kCheck, "a.yaml"},
      {{"--check", "-t"}, Mode::kCheck, kDefaultConfigFile},
      {{"--print", "-ca.yaml"}, Mode::kPrint, "a.yaml"},
      {{"--version"}, Mode::kVersion, kDefaultConfigFile},
      {{"--vers"}, Mode::kVersion, kDefaultConfigFile},
      {{"-t", "--"}, Mode::kCheck, kDefaultConfigFile},
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
      {{"--smaple=x"}, "unknown option --smaple;"},
      {{"-t", "--cheek", "-T"}, "unknown option --cheek;"},
      {{"--c"}, "unknown option --c;"},
      {{"-c"}, "the option -c, --config needs the name of a file"},
      {{"-tc"}, "the option -c, --config needs the name of a file"},
      {{"-c", ""}, "the option -c, --config needs the name of a file"},
      {{"--config"}, "the option -c, --config needs the name of a file"},
      {{"--config="}, "the option -c, --config needs the name of a file"},
      {{"--check=yes"}, "the option -t, --check takes no value"},
      {{"--sample=x"}, "the option --sample takes no value"},
      {{"-c", "a", "-c", "b"}, "the option -c, --config is given twice"},
      {{"-c", "a", "--config=b"}, "the option -c, --config is given twice"},
      {{"a.yaml"}, "\"a.yaml\" is not an option; name a configuration file with --config"},
      {{"-t", "a.yaml", "-T"}, "\"a.yaml\" is not an option"},
      {{"--", "a.yaml"}, "\"a.yaml\" is not an option"},
      {{"--", "-t"}, "\"-t\" is not an option"},
      {{"-"}, "\"-\" is not an option"},
      {{""}, "\"\" is not an option"},
      {{"-t", "-T"}, "the options -t, --check and -T, --print exclude each other"},
      {{"-V", "--sample"}, "the options -V, --version and --sample exclude each other"},
  };
  for (const Bad& row : table) {
    const CommandLine line = Parse(row.words);
    EXPECT_EQ(line.mode, Mode::kError) << row.error;
    EXPECT_EQ(line.error.find("starling: " + row.error), 0u) << line.error;
    EXPECT_TRUE(line.error.ends_with("; try 'starling --help'\n")) << line.error;
  }
}

TEST(CommandLine, HelpNamesEveryOptionAndExitCode) {
  const std::string help = HelpText();
  for (const char* word : {"-c, --config FILE", "-t, --check", "-T, --print", "--sample",
                           "-V, --version", "-h, --help", kDefaultConfigFile}) {
    EXPECT_NE(help.find(word), std::string::npos) << word;
  }
  for (const ExitCode code : {ExitCode::kOk, ExitCode::kCommandLine, ExitCode::kConfiguration,
                              ExitCode::kBind, ExitCode::kRing, ExitCode::kOther}) {
    const std::string line = "\n  " + std::to_string(static_cast<int>(code)) + "  ";
    EXPECT_NE(help.find(line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace starling
