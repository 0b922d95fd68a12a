#include "gateway/tls/credential_index.h"

#include <algorithm>
#include <utility>

namespace starling {
namespace {

using List = CredentialIndex::List;

bool Names(const Credential& credential, std::string_view name) {
  return std::find(credential.dns_names.begin(), credential.dns_names.end(), name) !=
         credential.dns_names.end();
}

void AddUnlessThere(List& list, const Credential* credential) {
  if (std::find(list.begin(), list.end(), credential) == list.end()) list.push_back(credential);
}

// So that a client that can verify no key of the best matches still gets one.
void AddOtherKinds(List& list, const List& all) {
  for (const Credential* candidate : all) {
    const bool have = std::any_of(list.begin(), list.end(),
                                  [&](const Credential* c) { return c->kind == candidate->kind; });
    if (!have) list.push_back(candidate);
  }
}

// Null if `name` has no label to put an asterisk for.
std::string_view WildcardSuffix(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return {};
  return name.substr(dot);
}

}  // namespace

CredentialIndex::CredentialIndex(
    const std::vector<std::shared_ptr<const Credential>>& credentials) {
  List all;
  for (const auto& credential : credentials) AddUnlessThere(all, credential.get());

  List first = {all.front()};
  for (const Credential* candidate : all) {
    const bool shares_name =
        std::any_of(candidate->dns_names.begin(), candidate->dns_names.end(),
                    [&](const std::string& name) { return Names(*all.front(), name); });
    if (shares_name) AddUnlessThere(first, candidate);
  }
  AddOtherKinds(first, all);
  Intern(std::move(first));

  for (const Credential* owner : all) {
    for (const std::string& name : owner->dns_names) {
      const bool wildcard = name.starts_with("*.");
      std::string key = wildcard ? name.substr(1) : name;
      if (by_name_.contains(key)) continue;
      List list;
      for (const Credential* c : all) {
        if (Names(*c, name)) AddUnlessThere(list, c);
      }
      const std::string_view suffix = wildcard ? std::string_view() : WildcardSuffix(name);
      if (!suffix.empty()) {
        const std::string covering = "*" + std::string(suffix);
        for (const Credential* c : all) {
          if (Names(*c, covering)) AddUnlessThere(list, c);
        }
      }
      AddOtherKinds(list, all);
      by_name_.emplace(std::move(key), Intern(std::move(list)));
    }
  }
}

size_t CredentialIndex::Intern(List list) {
  const auto found = std::find(lists_.begin(), lists_.end(), list);
  if (found != lists_.end()) return static_cast<size_t>(found - lists_.begin());
  lists_.push_back(std::move(list));
  return lists_.size() - 1;
}

size_t CredentialIndex::Find(std::string_view name) const {
  // A leading dot is no host name, and would meet a wildcard's key.
  if (name.empty() || name.front() == '.') return 0;
  if (const auto exact = by_name_.find(name); exact != by_name_.end()) return exact->second;
  const std::string_view suffix = WildcardSuffix(name);
  if (suffix.empty()) return 0;
  const auto wildcard = by_name_.find(suffix);
  return wildcard == by_name_.end() ? 0 : wildcard->second;
}

}  // namespace starling
