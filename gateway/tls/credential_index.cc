#include "gateway/tls/credential_index.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <compare>
#include <map>
#include <string>
#include <utility>

#include "gateway/io/clock.h"

namespace starling {
namespace {

using List = CredentialIndex::List;

// ".example.org" of "mail.example.org"; empty if the name has no label that a wildcard
// could replace.
std::string_view WildcardSuffix(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return {};
  return name.substr(dot);
}

// The key of a certificate's name in by_name_.
std::string_view KeyOf(std::string_view dns_name) {
  return dns_name.starts_with("*.") ? dns_name.substr(1) : dns_name;
}

// The library would never choose a second credential of the same key type: a client that
// supports it supports the first.
void AddUnlessTypeThere(List& list, const Credential* credential) {
  const bool there = std::any_of(list.begin(), list.end(), [&](const Credential* c) {
    return c->info.key_type == credential->info.key_type;
  });
  if (!there) list.push_back(credential);
}

}  // namespace

class CredentialIndex::Builder {
 public:
  Builder(CredentialIndex& index, int64_t now) : index_(index), now_(now) {}

  void Build() {
    Candidates all;
    for (size_t at = 0; at < index_.credentials_.size(); at++) {
      const Candidate candidate = MakeCandidate(at);
      all.push_back(candidate);
      for (const std::string& name : index_.credentials_[at]->material->dns_names) {
        groups_[KeyOf(name)].push_back(candidate);
      }
    }
    Candidates sharing;  // credentials that share a name with the first one
    if (!all.empty()) {
      sharing.push_back(all.front());
      for (const std::string& name : index_.credentials_.front()->material->dns_names) {
        const Candidates& group = groups_[KeyOf(name)];
        sharing.insert(sharing.end(), group.begin(), group.end());
      }
    }
    std::sort(all.begin(), all.end());
    for (const Candidate& candidate : all) {
      const Credential*& first = first_of_kind_[static_cast<size_t>(candidate.kind)];
      if (first == nullptr) first = index_.credentials_[candidate.at].get();
    }
    index_.lists_.push_back(MakeList(std::move(sharing)));
    for (const auto& [key, group] : groups_) AddName(key, group);
  }

 private:
  // Members are in the order in which they decide.
  struct Candidate {
    bool invalid = false;
    bool by_wildcard = false;  // covers an exact name of another certificate by a wildcard
    KeyKind kind = KeyKind::kEc;
    size_t at = 0;

    auto operator<=>(const Candidate&) const = default;
  };
  using Candidates = std::vector<Candidate>;

  Candidate MakeCandidate(size_t at) const {
    const Credential& credential = *index_.credentials_[at];
    const bool valid = credential.info.not_before <= now_ && now_ <= credential.info.not_after;
    return {.invalid = !valid, .kind = credential.material->kind, .at = at};
  }

  List MakeList(Candidates candidates) const {
    std::sort(candidates.begin(), candidates.end());
    List list;
    for (const Candidate& candidate : candidates) {
      AddUnlessTypeThere(list, index_.credentials_[candidate.at].get());
    }
    AddOtherKinds(list);
    return list;
  }

  // Adds a credential of each kind of key that the list lacks, so that it has one for
  // every client.
  void AddOtherKinds(List& list) const {
    std::array<bool, kKeyKindCount> there = {};
    for (const Credential* credential : list) {
      there[static_cast<size_t>(credential->material->kind)] = true;
    }
    for (size_t kind = 0; kind < kKeyKindCount; kind++) {
      if (!there[kind] && first_of_kind_[kind] != nullptr) list.push_back(first_of_kind_[kind]);
    }
  }

  void AddName(std::string_view key, Candidates candidates) {
    if (const auto covering = groups_.find(WildcardSuffix(key)); covering != groups_.end()) {
      for (Candidate candidate : covering->second) {
        candidate.by_wildcard = true;
        candidates.push_back(candidate);
      }
    }
    List list = MakeList(std::move(candidates));
    const auto [at, is_new] = numbers_.emplace(list, index_.lists_.size());
    if (is_new) index_.lists_.push_back(std::move(list));
    index_.by_name_.emplace(key, at->second);
  }

  CredentialIndex& index_;
  const int64_t now_;
  std::unordered_map<std::string_view, Candidates> groups_;
  std::array<const Credential*, kKeyKindCount> first_of_kind_ = {};
  std::map<List, size_t> numbers_;
};

CredentialIndex::CredentialIndex(Credentials credentials, int64_t now)
    : credentials_(std::move(credentials)) {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  for (const auto& credential : credentials_) {
    SHA256_Update(&hash, credential->digest.data(), credential->digest.size());
  }
  SHA256_Final(digest_.data(), &hash);
  Builder(*this, now).Build();
}

std::optional<size_t> CredentialIndex::Find(std::string_view name) const {
  if (name.ends_with('.')) name.remove_suffix(1);
  // A name with a leading dot is not a host name, but would match a wildcard's key.
  if (name.empty() || name.front() == '.') return std::nullopt;
  if (const auto exact = by_name_.find(name); exact != by_name_.end()) return exact->second;
  const std::string_view suffix = WildcardSuffix(name);
  if (suffix.empty()) return std::nullopt;
  const auto wildcard = by_name_.find(suffix);
  if (wildcard == by_name_.end()) return std::nullopt;
  return wildcard->second;
}

std::shared_ptr<const CredentialIndex> MakeCredentialIndex(
    std::vector<std::shared_ptr<const Credential>> credentials) {
  return std::make_shared<CredentialIndex>(std::move(credentials), WallNow() / 1'000'000);
}

const std::vector<std::shared_ptr<const Credential>>& CredentialsOf(const CredentialIndex& index) {
  return index.credentials();
}

}  // namespace starling
