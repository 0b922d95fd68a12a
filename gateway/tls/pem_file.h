// Reads a certificate, key, ticket key, revocation list or OCSP response file, with
// errors that an operator can act on. For tls/ only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace starling {

// The text is wiped when the object dies, because it may hold a key.
struct PemFile {
  PemFile() = default;
  PemFile(PemFile&&) = default;
  PemFile& operator=(PemFile&& other) noexcept {
    text.swap(other.text);  // the other object wipes our old text
    world_readable = other.world_readable;
    world_writable = other.world_writable;
    return *this;
  }
  ~PemFile();

  std::string text;
  // The rights of the file that was opened, which a symbolic link only leads to. Rights of its
  // group are the operator's choice: a group of key readers, or Kubernetes' fsGroup.
  bool world_readable = false;
  bool world_writable = false;
};

// Reads a regular file of 1 octet to 1 MiB; opening it never blocks. An error begins with
// the path.
absl::StatusOr<PemFile> ReadPemFile(const std::string& path);

// The same for up to `max_size` octets. `expected` names the content in errors ("a PEM
// file").
absl::StatusOr<PemFile> ReadSmallFile(const std::string& path, size_t max_size,
                                      std::string_view expected, bool may_be_empty = false);

// An error if every user can write the file: whoever does so chooses the secret in it. `what`
// names the secret ("this private key").
absl::Status CheckSecret(const std::string& path, const PemFile& file, std::string_view what);
// A warning about any other file that every user can write; otherwise empty.
std::string WritableWarning(const std::string& path, const PemFile& file);

}  // namespace starling
