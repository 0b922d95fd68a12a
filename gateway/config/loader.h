// Reads a configuration file: parses YAML, applies the option table, and checks the
// rules between options. The result is a complete Config, or all errors at once.
//
// Not for: what lies outside the file (keys, certificates, users, whether an address
// can be bound). The users of the Config check that.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/problem.h"

namespace starling {

// What `limits.sessions: auto` stands for.
struct FittedSessions {
  uint32_t sessions = 1'000;
  std::string from = "a test";  // what bounds it, for people
};

// Defaults that come from the machine. Tests set their own.
struct LoadEnvironment {
  std::string hostname = "localhost";  // default of `hostname`
  uint32_t cpus = 1;                   // value of `workers: auto`
  std::string cpus_from = "a test";    // where that comes from, for people
  bool throttled = false;              // Config::throttled

  // Finds it for a configuration, of which everything else is known. Null: as FittedSessions.
  std::function<FittedSessions(const Config&)> sessions;

  // All but `sessions`.
  static LoadEnvironment OfSystem();
  // For a reload: what `auto` stands for stays as it was at the start, whatever the machine gives
  // now. Workers, rings and tables are made of it.
  static LoadEnvironment OfReload(const Config& started_with);
};

struct LoadResult {
  std::string file;
  Config config;                  // complete if `errors` is empty
  std::vector<Problem> errors;    // in the order of the file
  std::vector<Problem> warnings;  // valid but dangerous settings; empty if there are errors

  bool ok() const { return errors.empty(); }
  // One line each: "file:line:column: error: text".
  std::string ErrorText() const;
  std::string WarningText() const;
};

LoadResult LoadConfig(std::string_view text, std::string_view file,
                      const LoadEnvironment& environment);
// A file that cannot be read is an error at its line 1, and one that every user can write is
// warned of there.
LoadResult LoadConfigFile(const std::string& file, const LoadEnvironment& environment);

}  // namespace starling
