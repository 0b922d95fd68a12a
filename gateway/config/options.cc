#include "gateway/config/options.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gateway/config/rows.h"
#include "gateway/config/units.h"

namespace starling {
namespace {

// Fields without a setting.
struct Defaults {
  Config config;
  ListenerConfig listener;
  BackendConfig backend;
  ServerConfig server;
  CertificateEntry certificate;
  SourceRow source;
  ListenerLimits limits;
};

std::string Joined(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::string RangeText(const Option& option) {
  std::string text = NumberText(option, option.min) + " to " + NumberText(option, option.max);
  if (!option.unit.empty()) text.append(" ").append(option.unit);
  if (option.power_of_two) text += ", a power of two";
  return text;
}

std::string ValueText(const Option& option, const OptionValue& value) {
  switch (option.type) {
    case OptionType::kFlag:
      return value.number != 0 ? "true" : "false";
    case OptionType::kChoice:
      return std::string(ChoicesOf(option)[value.number]);
    case OptionType::kTextList: {
      std::vector<std::string_view> words(value.list.begin(), value.list.end());
      return "[" + Joined(words) + "]";
    }
    case OptionType::kText:
      return value.text;
    default:
      if (!value.text.empty()) return value.text;  // one of the words that it accepts
      return NumberText(option, value.number);
  }
}

}  // namespace

std::string_view SectionName(Section section) {
  switch (section) {
    case Section::kTop:
      return "the top level";
    case Section::kTls:
      return "tls";
    case Section::kCertificate:
      return "a certificate";
    case Section::kClientCertificate:
      return "client_certificate";
    case Section::kListener:
      return "a listener";
    case Section::kListenerProxy:
      return "a listener's proxy_protocol";
    case Section::kSource:
      return "an entry of sources";
    case Section::kSmtp:
      return "a listener's smtp";
    case Section::kXmpp:
      return "a listener's xmpp";
    case Section::kHttp:
      return "a listener's http";
    case Section::kFtp:
      return "a listener's ftp";
    case Section::kIrc:
      return "a listener's irc";
    case Section::kBackend:
      return "a backend";
    case Section::kServer:
      return "a server";
    case Section::kBackendTls:
      return "a backend's tls";
    case Section::kBackendCertificate:
      return "a backend's client_certificate";
    case Section::kResolve:
      return "resolve";
    case Section::kMetrics:
      return "metrics";
    case Section::kLog:
      return "log";
    case Section::kLimits:
      return "limits";
  }
  return "";
}

std::string_view ProtocolOf(Section section) {
  for (const Option& option : DialogueRows()) {
    if (option.section == Section::kListener && option.child == section) return option.key;
  }
  return "";
}

bool IsSectionOf(Section section, std::string_view protocol) {
  const std::string_view of = ProtocolOf(section);
  return of.empty() || of == protocol.substr(0, protocol.find('-'));
}

std::span<const Option> AllOptions() {
  static const std::vector<Option> all = [] {
    std::vector<Option> rows;
    for (const auto part :
         {GeneralRows(), TlsRows(), ListenerRows(), DialogueRows(), BackendRows(), ResolveRows(),
          SourceRows(), ListenerLimitRows(), LimitRows(), MemoryRows()}) {
      rows.insert(rows.end(), part.begin(), part.end());
    }
    return rows;
  }();
  return all;
}

std::vector<const Option*> OptionsOf(Section section, bool in_listener) {
  std::vector<const Option*> options;
  for (const Option& option : AllOptions()) {
    if (option.section != section) continue;
    if (section == Section::kLimits && in_listener && !option.in_listener) continue;
    options.push_back(&option);
  }
  return options;
}

std::span<const std::string_view> ChoicesOf(const Option& option) {
  return option.late_choices != nullptr ? option.late_choices() : option.choices;
}

std::string NumberText(const Option& option, uint64_t number) {
  switch (option.type) {
    case OptionType::kDuration:
      return FormatDuration(number * option.scale);
    case OptionType::kSize:
      return FormatSize(number);
    default:
      return std::to_string(number);
  }
}

std::string ExpectedText(const Option& option) {
  const std::span<const std::string_view> choices = ChoicesOf(option);
  switch (option.type) {
    case OptionType::kText:
      return option.unit.empty() ? "text" : std::string(option.unit);
    case OptionType::kNumber:
      return RangeText(option) + (choices.empty() ? "" : ", or " + Joined(choices));
    case OptionType::kDuration:
    case OptionType::kSize:
      return RangeText(option);
    case OptionType::kFlag:
      return "true or false";
    case OptionType::kChoice:
      return "one of " + Joined(choices);
    case OptionType::kTextList:
      return "a list of " + (choices.empty() ? std::string(option.unit) : Joined(choices)) +
             ", or a single one";
    case OptionType::kSection:
      return "a map of options";
    case OptionType::kSectionList:
      if (option.text_key.empty()) return "a list of maps";
      return "a list of " + std::string(option.unit) + ", or one alone";
  }
  return "";
}

std::vector<std::string> NeedRestart(const Config& started_with, const Config& after) {
  // The table's functions take targets that are not const, as the loader needs them.
  Config old = started_with;
  Config fresh = after;
  std::vector<std::string> changed;
  for (const Option& option : AllOptions()) {
    if (option.applies != Applies::kRestart) continue;
    if (option.get({.config = &old}) == option.get({.config = &fresh})) continue;
    std::string name(option.key);
    if (option.section != Section::kTop) {
      name = absl::StrCat(std::string(SectionName(option.section)), ".", name);
    }
    changed.push_back(std::move(name));
  }
  // The ring has room for data channels only if a listener could use them at the start.
  const bool listed = started_with.limits.data_listeners != after.limits.data_listeners;
  if (!listed && DataListeners(started_with) < DataListeners(after)) {
    changed.emplace_back("limits.data_listeners");
  }
  return changed;
}

std::string DefaultText(const Option& option) {
  if (option.default_text != nullptr) return option.default_text();
  if (option.required || option.get == nullptr) return "";
  Defaults defaults;
  const OptionTarget target = {.config = &defaults.config,
                               .listener = &defaults.listener,
                               .backend = &defaults.backend,
                               .server = &defaults.server,
                               .certificate = &defaults.certificate,
                               .source = &defaults.source,
                               .tls = &defaults.config.tls,
                               .limits = &defaults.limits};
  const std::optional<OptionValue> value = option.get(target);
  return value ? ValueText(option, *value) : "";
}

}  // namespace starling
