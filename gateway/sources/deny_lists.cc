#include "gateway/sources/deny_lists.h"

#include "absl/strings/str_cat.h"
#include "gateway/limits.h"

namespace starling {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view Stripped(std::string_view line) {
  line = line.substr(0, line.find_first_of("#;"));
  const size_t begin = line.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

absl::Status ParseDenyFile(std::string_view text, std::vector<NetworkMap::Entry>& networks) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = Stripped(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    const absl::StatusOr<Cidr> network = Cidr::Parse(line);
    if (!network.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", network.status().message()));
    }
    if (networks.size() >= kMaxDenied) {
      return absl::ResourceExhaustedError(
          absl::StrCat("line ", number, ": more than ", kMaxDenied, " networks"));
    }
    networks.push_back({.network = *network, .value = 1});
  }
  return absl::OkStatus();
}

bool DenyLists::Has(ListenerId listener, const Endpoint& client) const {
  if (general_ != nullptr && general_->Find(client) != 0) return true;
  if (own_.empty()) return false;
  const auto own = own_.find(listener);
  return own != own_.end() && own->second->Find(client) != 0;
}

}  // namespace starling
