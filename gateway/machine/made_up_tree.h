// For tests: a folder in which a test writes the files of /proc and /sys that the code is to find.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace starling {

class MadeUpTree : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = getenv("TEST_TMPDIR");
    root_ = std::string(folder == nullptr ? "/tmp" : folder) + "/" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
  }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void MakeFolder(const std::string& path) { std::filesystem::create_directories(root_ + path); }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

}  // namespace starling
