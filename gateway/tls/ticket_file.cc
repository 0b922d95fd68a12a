// Reads ticket keys from a file in the format of HAProxy's tls-ticket-keys: base64 of 48
// or of 80 octets on each line. The first 16 octets are the key's name. The encryption
// key is derived from all octets, so that no secret is used in two schemes.
#include <openssl/base64.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/limits.h"
#include "gateway/tls/pem_file.h"
#include "gateway/tls/tickets.h"

namespace starling {
namespace {

constexpr size_t kMinKeys = 3;
constexpr size_t kShort = 48;
constexpr size_t kLong = 80;
constexpr std::string_view kLabel = "starling session ticket";

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(what)));
}

TicketKey Derive(std::span<const uint8_t> secret) {
  TicketKey key;
  std::memcpy(key.name.data(), secret.data(), key.name.size());
  HKDF(key.secret.data(), key.secret.size(), EVP_sha256(), secret.data(), secret.size(), nullptr, 0,
       reinterpret_cast<const uint8_t*>(kLabel.data()), kLabel.size());
  return key;
}

// The number of octets that the line encodes; 0 if it is not base64.
size_t Decode(std::string_view line, std::span<uint8_t> out) {
  size_t size = 0;
  const bool ok = EVP_DecodeBase64(out.data(), &size, out.size(),
                                   reinterpret_cast<const uint8_t*>(line.data()), line.size()) == 1;
  return ok ? size : 0;
}

absl::Status Parse(const std::string& path, std::string_view text, std::vector<TicketKey>& keys) {
  std::array<uint8_t, 128> secret;
  std::set<std::array<uint8_t, 16>> names;
  size_t all = 0;
  absl::Status status;
  for (size_t number = 1; !text.empty() && status.ok(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto line = absl::StripAsciiWhitespace(absl::string_view(text.data(), end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const size_t size =
        line.size() > secret.size() ? 0 : Decode({line.data(), line.size()}, secret);
    const std::string where = absl::StrCat("line ", number, ": ");
    if (size != kShort && size != kLong) {
      status = Bad(path, where +
                             "expected base64 of 48 or of 80 octets (openssl rand -base64 80 | "
                             "tr -d '\\n')");
    } else if (all != 0 && size != all) {
      status = Bad(path,
                   absl::StrCat(where, size, " octets, expected ", all, " as on the lines before"));
    } else if (keys.size() >= kMaxTicketKeys) {
      status = Bad(path, absl::StrCat("more than ", kMaxTicketKeys, " keys"));
    } else {
      keys.push_back(Derive(std::span(secret).first(size)));
      if (!names.insert(keys.back().name).second) status = Bad(path, where + "repeats a key");
    }
    all = size;
  }
  OPENSSL_cleanse(secret.data(), secret.size());
  if (status.ok() && keys.size() < kMinKeys) {
    status = Bad(path, absl::StrCat(keys.size(), " keys, expected at least ", kMinKeys,
                                    ": one that encrypts and others for rotation"));
  }
  return status;
}

}  // namespace

absl::StatusOr<TicketFile> ReadTicketKeys(const std::string& path) {
  absl::StatusOr<PemFile> file = ReadPemFile(path);
  if (!file.ok()) return file.status();
  absl::Status secret = CheckSecret(path, *file, "these ticket keys");
  if (!secret.ok()) return secret;
  TicketFile result;
  result.world_readable = file->world_readable;
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const uint8_t*>(file->text.data()), file->text.size(), digest.data());
  result.digest.assign(digest.begin(), digest.end());
  std::vector<TicketKey> keys;
  keys.reserve(kMaxTicketKeys);  // a reallocation would leave a copy of the keys behind
  absl::Status parsed = Parse(path, file->text, keys);
  OPENSSL_cleanse(file->text.data(), file->text.size());
  if (parsed.ok()) result.keys = std::make_shared<TicketKeys>(keys);
  OPENSSL_cleanse(keys.data(), keys.size() * sizeof(TicketKey));
  if (!parsed.ok()) return parsed;
  return result;
}

}  // namespace starling
