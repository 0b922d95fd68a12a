// Reads a certificate or key file, with errors a person can act upon.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace starling {

struct PemFile {
  std::string text;
  bool world_readable = false;
};

// Opens without blocking and takes regular files of 1 octet to 1 MiB only. An
// error begins with the path.
absl::StatusOr<PemFile> ReadPemFile(const std::string& path);

}  // namespace starling
