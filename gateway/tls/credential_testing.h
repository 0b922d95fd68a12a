// A test fixture with a folder of certificate files, which it removes afterwards.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gateway/tls/credential_store.h"
#include "gateway/tls/test_certificates.h"

namespace starling {

class CredentialFolderTest : public testing::Test {
 protected:
  CredentialFolderTest() {
    std::string pattern = testing::TempDir() + "/credentialXXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~CredentialFolderTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  // Makes the folders in `name`.
  std::string Put(const std::string& name, const std::string& content, mode_t mode = 0600) {
    const std::string path = Path(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  CertificateSource Put(const TestCertificate& made, mode_t mode = 0600) {
    return {.cert = Put("test.crt", made.cert, 0644), .key = Put("test.key", made.key, mode)};
  }
  void Link(const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, Path(name));
  }

  CertificateSet LoadFolder(size_t max = 1000) {
    const CertificateSource source = {.folder = folder_};
    return store_.LoadAll({&source, 1}, max);
  }

  std::string folder_;
  CredentialStore store_;
};

// The paths in a set, relative to the folder.
inline std::vector<std::string> Files(const CertificateSet& set, const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& credential : set.credentials) {
    files.push_back(Info(*credential).file.substr(folder.size() + 1));
  }
  return files;
}

inline bool Holds(const std::vector<std::string>& texts, const std::string& part) {
  for (const std::string& text : texts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace starling
