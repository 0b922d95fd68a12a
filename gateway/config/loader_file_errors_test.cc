// Errors of the file as a whole: its syntax, its size, aliases, files that cannot be read. And no
// error tells a secret.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "gateway/config/loader_errors_testing.h"

namespace starling {
namespace {

TEST(LoaderFileErrors, Syntax) {
  const std::pair<std::string, std::string> table[] = {
      {"", "1:1: the file is empty; it needs tls, listeners and backends"},
      {"# nothing\n", "1:1: the file is empty; it needs tls, listeners and backends"},
      {"text", "1:1: found \"text\", expected a map with the options of the top level"},
      {"a: [1, 2", "2:1: invalid YAML: end of sequence flow not found"},
      {"a: b: c\n", "1:5: invalid YAML: illegal map value"},
      {"a: *b\n", "1:4: invalid YAML: the referenced anchor is not defined"},
      {"a: b\n---\nc: d\n", "1:1: the file has several YAML documents; only one is allowed"},
      {"user: !!str a\n", "1:7: the tag \"tag:yaml.org,2002:str\" is not allowed; remove it"},
      {"a:\n  b: \x04\n",
       "2:6: the octet 0x04 is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: \xff\n",
       "1:4: the octet 0xff is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: \xc0\x80\n",
       "1:4: the octet 0xc0 is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: \xed\xa0\x80\n",
       "1:4: the octet 0xed is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {std::string("a\0b", 3),
       "1:2: the octet 0x00 is not allowed; the file must be UTF-8 text without control "
       "characters"},
      {"a: &x [*x]\n", "1:8: the alias refers to the list or map that contains it"},
  };
  for (const auto& [text, error] : table) {
    const LoadResult result = Load(text);
    EXPECT_NE(Lines(result.errors).find(error), std::string::npos) << Lines(result.errors);
  }
}

TEST(LoaderFileErrors, LimitsOfTheFile) {
  const std::string large((1 << 20) + 1, '#');
  EXPECT_EQ(Lines(Load(large).errors),
            "1:1: the file has 1048577 octets; at most 1048576 are allowed");
  const std::string deep = "a: " + std::string(400, '[');
  EXPECT_FALSE(Load(deep).ok());
  const std::string nested = "a: " + std::string(17, '[') + std::string(17, ']');
  EXPECT_EQ(Lines(Load(nested).errors), "1:19: the file has more than 16 levels of nesting");
  std::string wide = "a: [";
  for (int i = 0; i < 110'000; ++i) wide += "a,";
  const LoadResult many = Load(wide + "]");
  EXPECT_NE(Lines(many.errors).find("the file has more than 100000 values"), std::string::npos);
}

TEST(LoaderFileErrors, ManyListeners) {
  const auto listeners = [](int count) {
    std::string text = "listeners:";
    for (int i = 0; i < count; ++i) {
      text +=
          "\n"
          "  - {name: n" +
          std::to_string(i) + ", protocol: tcp, bind: \"127.0.0.1:" + std::to_string(1000 + i) +
          "\", tls: implicit, backend: b}";
    }
    return Load(TestFile{.listeners = text, .rest = "limits: {refusals: 256}"});
  };
  EXPECT_TRUE(listeners(256).ok());
  EXPECT_EQ(Lines(listeners(257).errors),
            "3:3: found 257 elements for listeners, expected 1 to 256");
}

// If the tree copied aliases, nine levels of nine would make 400 million texts.
TEST(LoaderFileErrors, AliasesDoNotMultiply) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string n = std::to_string(i), last = "*a" + std::to_string(i - 1);
    text += "a" + n + ": &a" + n + " [" + last;
    for (int j = 1; j < 9; ++j) text += ", " + last;
    text += "]\n";
  }
  text +=
      "listeners: *a9\n"
      "backends: *a9\nring_features: *a9\n";
  EXPECT_FALSE(Load(text).ok());
}

TEST(LoaderFileErrors, AreNotEndless) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  const LoadResult result = Load(text);
  ASSERT_EQ(result.errors.size(), kMaxConfigErrors);
  EXPECT_NE(Lines(result.errors).find("there are more errors"), std::string::npos);
}

TEST(LoaderFileErrors, FilesThatCannotBeRead) {
  const LoadResult missing = LoadConfigFile("/does/not/exist.yaml", {});
  EXPECT_EQ(missing.ErrorText(),
            "/does/not/exist.yaml:1:1: error: cannot read the file: No such file or directory\n");
  EXPECT_FALSE(LoadConfigFile("/", {}).ok());
  // Nobody writes to it, so a loader that waited would wait for ever.
  const std::string fifo = testing::TempDir() + "fifo.yaml";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::string said = LoadConfigFile(fifo, {}).ErrorText();
  unlink(fifo.c_str());
  EXPECT_NE(said.find("FIFO"), std::string::npos) << said;
}

TEST(LoaderFileErrors, TheSizeOfAFileIsTold) {
  const std::string file = testing::TempDir() + "large.yaml";
  std::ofstream(file) << "#";
  for (const auto& [size, told] : {std::pair<off_t, std::string>{1 << 20, ""},
                                   {(1 << 20) + 1, "1048577"},
                                   {off_t{5} << 30, "5368709120"}}) {
    ASSERT_EQ(truncate(file.c_str(), size), 0);
    const std::string said = LoadConfigFile(file, {}).ErrorText();
    const std::string sentence = "the file has " + told + " octets; at most 1048576 are allowed\n";
    EXPECT_EQ(said.ends_with(sentence), !told.empty()) << said;
  }
  unlink(file.c_str());
  // It has no size of its own, and no end.
  const std::string said = LoadConfigFile("/dev/zero", {}).ErrorText();
  EXPECT_NE(said.find("the file has more than 1048576 octets"), std::string::npos) << said;
}

TEST(LoaderFileErrors, AWarningThatEveryUserCanWriteTheFile) {
  const std::string file = testing::TempDir() + "rights.yaml";
  const std::string link = testing::TempDir() + "link.yaml";
  std::ofstream(file) << TestFile{}.Text();
  unlink(link.c_str());
  ASSERT_EQ(symlink(file.c_str(), link.c_str()), 0);
  for (const auto& [mode, warned] :
       {std::pair<mode_t, bool>{0644, false}, {0664, false}, {0646, true}, {0602, true}}) {
    ASSERT_EQ(chmod(file.c_str(), mode), 0);
    for (const std::string& name : {file, link}) {
      const LoadResult result = LoadConfigFile(name, {});
      EXPECT_TRUE(result.ok()) << result.ErrorText();
      const std::string warning = name + ":1:1: warning: every user can write this file";
      EXPECT_EQ(result.WarningText().starts_with(warning), warned) << result.WarningText();
    }
  }
  unlink(link.c_str());
  unlink(file.c_str());
}

// A key where its file's name belongs, or the key's file in place of the configuration.
TEST(LoaderFileErrors, TellNoSecret) {
  const std::string key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIHLWFcLo3LJiu8m2jUsW5\n";
  for (const std::string& text :
       {key, "user: \"x\\n" + std::string("-----BEGIN PRIVATE KEY-----\\nMHcCAQEEIHLWF\"\n")}) {
    const std::string said = Lines(Load(text).errors);
    EXPECT_NE(said.find("-----BEGIN..."), std::string::npos) << said;
    EXPECT_EQ(said.find("MHc"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace starling
