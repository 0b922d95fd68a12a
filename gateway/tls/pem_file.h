// Reads a certificate, key or response file, with errors a person can act upon.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace starling {

// Wiped when it is gone, since it may hold a key.
struct PemFile {
  PemFile() = default;
  PemFile(PemFile&&) = default;
  PemFile& operator=(PemFile&& other) noexcept {
    text.swap(other.text);  // so that the other wipes ours
    world_readable = other.world_readable;
    return *this;
  }
  ~PemFile();

  std::string text;
  bool world_readable = false;
};

// Opens without blocking and takes regular files of 1 octet to 1 MiB only. An
// error begins with the path.
absl::StatusOr<PemFile> ReadPemFile(const std::string& path);

// The same for `expected` ("a PEM file") of up to `max_size` octets.
absl::StatusOr<PemFile> ReadSmallFile(const std::string& path, size_t max_size,
                                      std::string_view expected);

}  // namespace starling
