#include "gateway/secrets.h"

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/limits.h"
#include "gateway/tls/pem_file.h"
#include "protocols/irc/irc_options.h"

namespace starling {
namespace {

void ReadWebirc(ListenerConfig& listener, std::vector<std::string>& errors,
                std::vector<std::string>& warnings) {
  const std::string& path = listener.webirc_password_file;
  const absl::StatusOr<PemFile> file = ReadSmallFile(path, kMaxSecretFile, "a password");
  if (!file.ok()) {
    errors.emplace_back(file.status().message());
    return;
  }
  const absl::Status secret = CheckSecret(path, *file, "the password");
  if (!secret.ok()) {
    errors.emplace_back(secret.message());
    return;
  }
  const absl::string_view password = absl::StripTrailingAsciiWhitespace(file->text);
  if (!IsWebircPassword({password.data(), password.size()})) {
    errors.push_back(absl::StrCat(path,
                                  ": the password for WEBIRC must be one word of printable ASCII "
                                  "that does not begin with a colon"));
    return;
  }
  if (file->world_readable) {
    warnings.push_back(absl::StrCat(path, ": every user can read the password"));
  }
  SetWebircPassword(std::string(password), listener.dialogue);
}

}  // namespace

void ReadSecrets(Config& config, std::vector<std::string>& errors,
                 std::vector<std::string>& warnings) {
  for (ListenerConfig& listener : config.listeners) {
    if (!listener.webirc_password_file.empty()) ReadWebirc(listener, errors, warnings);
  }
}

}  // namespace starling
