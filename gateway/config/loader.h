// Reads a configuration file: YAML by way of the option table and the rules
// between options, to a Config in which everything is checked and filled in, or
// to all errors at once.
//
// Not for: what lies outside the file (keys, certificates, users, whether an
// address can be bound), which whoever uses the Config finds out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/problem.h"

namespace starling {

// What defaults come from the machine; tests give their own.
struct LoadEnvironment {
  std::string hostname = "localhost";  // of `hostname` that is not set
  uint32_t cpus = 1;                   // of `workers: auto`

  static LoadEnvironment OfSystem();
};

struct LoadResult {
  std::string file;
  Config config;                  // complete if there are no errors
  std::vector<Problem> errors;    // in the order of the file
  std::vector<Problem> warnings;  // legal but dangerous; only without errors

  bool ok() const { return errors.empty(); }
  // "file:line:column: error: text", a line each.
  std::string ErrorText() const;
  std::string WarningText() const;
};

LoadResult LoadConfig(std::string_view text, std::string_view file,
                      const LoadEnvironment& environment);
// A file that cannot be read is an error at its line 1.
LoadResult LoadConfigFile(const std::string& file, const LoadEnvironment& environment);

}  // namespace starling
