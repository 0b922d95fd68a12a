// How a row of the option table reaches its field: a pair of functions made
// from a pointer to member. Included by the files of rows alone.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/options.h"

namespace starling::access {

inline Config& ObjectOf(const OptionTarget& target, const Config*) { return *target.config; }
inline GlobalLimits& ObjectOf(const OptionTarget& target, const GlobalLimits*) {
  return target.config->limits;
}
inline ListenerLimits& ObjectOf(const OptionTarget& target, const ListenerLimits*) {
  return *target.limits;
}
inline ListenerConfig& ObjectOf(const OptionTarget& target, const ListenerConfig*) {
  return *target.listener;
}
inline ProxyIn& ObjectOf(const OptionTarget& target, const ProxyIn*) {
  return target.listener->proxy_in;
}
inline FtpOptions& ObjectOf(const OptionTarget& target, const FtpOptions*) {
  return target.listener->ftp;
}
inline DialogueOptions& ObjectOf(const OptionTarget& target, const DialogueOptions*) {
  return target.listener->dialogue;
}
inline BackendConfig& ObjectOf(const OptionTarget& target, const BackendConfig*) {
  return *target.backend;
}
inline ServerConfig& ObjectOf(const OptionTarget& target, const ServerConfig*) {
  return *target.server;
}
inline ResolveOptions& ObjectOf(const OptionTarget& target, const ResolveOptions*) {
  return target.config->resolve;
}
inline CertificateEntry& ObjectOf(const OptionTarget& target, const CertificateEntry*) {
  return *target.certificate;
}
inline SourceRow& ObjectOf(const OptionTarget& target, const SourceRow*) { return *target.source; }
inline SourceLimits& ObjectOf(const OptionTarget& target, const SourceLimits*) {
  return target.source->limits;
}
inline TlsOptions& ObjectOf(const OptionTarget& target, const TlsOptions*) { return *target.tls; }
inline ClientCertificateOptions& ObjectOf(const OptionTarget& target,
                                          const ClientCertificateOptions*) {
  return target.tls->client_certificate;
}
inline BackendTls& ObjectOf(const OptionTarget& target, const BackendTls*) {
  return target.backend->tls;
}

template <class Class, class Type>
Class* ClassOf(Type Class::*);

template <auto kMember>
auto& FieldOf(const OptionTarget& target) {
  return ObjectOf(target, decltype(ClassOf(kMember))(nullptr)).*kMember;
}

// Says what is wrong with a text, or nothing.
using Check = std::optional<Complaint> (*)(const std::string& text);

// Numbers, flags and choices. The enumerators of a choice have the order of the row's
// words.
template <auto kMember>
std::vector<Complaint> SetNumber(const OptionTarget& target, const OptionValue& value) {
  auto& field = FieldOf<kMember>(target);
  field = static_cast<std::remove_reference_t<decltype(field)>>(value.number);
  return {};
}

template <auto kMember>
std::optional<OptionValue> GetNumber(const OptionTarget& target) {
  OptionValue value;
  value.number = static_cast<uint64_t>(FieldOf<kMember>(target));
  return value;
}

// Text that `kCheck` accepts.
template <auto kMember, Check kCheck>
std::vector<Complaint> SetText(const OptionTarget& target, const OptionValue& value) {
  if (auto complaint = kCheck(value.text)) return {*std::move(complaint)};
  FieldOf<kMember>(target) = value.text;
  return {};
}

template <auto kMember>
std::optional<OptionValue> GetText(const OptionTarget& target) {
  OptionValue value;
  value.text = FieldOf<kMember>(target);
  if (value.text.empty()) return std::nullopt;
  return value;
}

// A list of words from the row's choices.
template <auto kMember>
std::vector<Complaint> SetWords(const OptionTarget& target, const OptionValue& value) {
  FieldOf<kMember>(target) = value.list;
  return {};
}

template <auto kMember>
std::optional<OptionValue> GetWords(const OptionTarget& target) {
  OptionValue value;
  value.list = FieldOf<kMember>(target);
  if (value.list.empty()) return std::nullopt;
  return value;
}

// A list. `kParse` makes an element of each text.
template <auto kMember, auto kParse>
std::vector<Complaint> SetList(const OptionTarget& target, const OptionValue& value) {
  std::remove_reference_t<decltype(FieldOf<kMember>(target))> parsed;
  std::vector<Complaint> complaints;
  for (size_t i = 0; i < value.list.size(); ++i) {
    auto element = kParse(value.list[i]);
    if (element.ok()) {
      parsed.push_back(*std::move(element));
    } else {
      complaints.push_back({.expected = std::string(element.status().message()), .element = i});
    }
  }
  if (complaints.empty()) FieldOf<kMember>(target) = std::move(parsed);
  return complaints;
}

template <auto kMember>
std::optional<OptionValue> GetList(const OptionTarget& target) {
  OptionValue value;
  for (const auto& element : FieldOf<kMember>(target)) value.list.push_back(element.ToString());
  if (value.list.empty()) return std::nullopt;
  return value;
}

}  // namespace starling::access
