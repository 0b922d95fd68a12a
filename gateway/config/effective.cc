#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gateway/config/options.h"

namespace starling {
namespace {

// Text in double quotes needs no other escapes (YAML 1.2 section 7.3.1).
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string ValueText(const Option& option, const OptionValue& value) {
  switch (option.type) {
    case OptionType::kText:
      return Quoted(value.text);
    case OptionType::kFlag:
      return value.number != 0 ? "true" : "false";
    case OptionType::kChoice:
      return std::string(ChoicesOf(option)[value.number]);
    case OptionType::kTextList: {
      std::string text;
      for (const std::string& element : value.list) {
        text += (text.empty() ? "" : ", ") + Quoted(element);
      }
      return "[" + text + "]";
    }
    default:
      if (!value.text.empty()) return value.text;  // one of the words that it accepts
      return NumberText(option, value.number);
  }
}

using Lines = std::vector<std::string>;

Lines PrintSection(Section section, const OptionTarget& target);

void Append(Lines& lines, std::string_view first, std::string_view rest, const Lines& more) {
  for (size_t i = 0; i < more.size(); ++i) {
    lines.push_back(std::string(i == 0 ? first : rest) + more[i]);
  }
}

template <class Element>
void AppendList(Lines& lines, Section section, std::vector<Element>& elements,
                Element* OptionTarget::* slot, OptionTarget target) {
  for (Element& element : elements) {
    target.*slot = &element;
    if constexpr (std::is_same_v<Element, ServerConfig>) {
      if (element == ServerConfig(element.address)) {
        lines.push_back("  - " + Quoted(element.address.ToString()));
        continue;
      }
    }
    if constexpr (std::is_same_v<Element, ListenerConfig>) {
      target.limits = &element.limits;
      target.tls = &element.tls_options;
    }
    Append(lines, "  - ", "    ", PrintSection(section, target));
  }
}

// Whether an optional section has anything to print.
bool IsSet(Section section, const OptionTarget& target) {
  if (target.listener != nullptr && target.listener->protocol != nullptr &&
      !IsSectionOf(section, target.listener->protocol->name)) {
    return false;
  }
  switch (section) {
    case Section::kTls:
      return target.listener == nullptr || !(*target.tls == target.config->tls);
    case Section::kListenerProxy:
      return target.listener != nullptr && target.listener->proxy_in.given();
    case Section::kBackendTls:
      return target.backend != nullptr && target.backend->tls.enabled;
    case Section::kBackendCertificate:
      return target.backend != nullptr && !target.backend->tls.cert.empty();
    default:
      return true;
  }
}

Lines PrintChild(const Option& option, const OptionTarget& target) {
  Lines lines;
  switch (option.child) {
    case Section::kCertificate:
      // Prints a listener's certificates only if they differ from the general ones.
      if (target.listener != nullptr &&
          target.tls->certificates == target.config->tls.certificates) {
        return lines;
      }
      AppendList(lines, option.child, target.tls->certificates, &OptionTarget::certificate, target);
      return lines;
    case Section::kSource:
      AppendList(lines, option.child,
                 target.listener != nullptr ? target.listener->sources : target.config->sources,
                 &OptionTarget::source, target);
      return lines;
    case Section::kListener:
      AppendList(lines, option.child, target.config->listeners, &OptionTarget::listener, target);
      return lines;
    case Section::kBackend:
      AppendList(lines, option.child, target.config->backends, &OptionTarget::backend, target);
      return lines;
    case Section::kServer:
      assert(target.backend != nullptr);
      AppendList(lines, option.child, target.backend->servers, &OptionTarget::server, target);
      return lines;
    default:
      if (!IsSet(option.child, target)) return lines;
      Append(lines, "  ", "  ", PrintSection(option.child, target));
      return lines;
  }
}

Lines PrintSection(Section section, const OptionTarget& target) {
  Lines lines;
  const bool in_listener = target.listener != nullptr;
  for (const Option* option : OptionsOf(section, in_listener)) {
    const std::string key = std::string(option->key) + ":";
    if (option->get == nullptr) {
      const Lines child = PrintChild(*option, target);
      if (child.empty()) continue;
      lines.push_back(key);
      lines.insert(lines.end(), child.begin(), child.end());
    } else if (option->in_listener && !in_listener) {
      continue;  // each listener prints its own
    } else if (const std::optional<OptionValue> value = option->get(target)) {
      lines.push_back(key + " " + ValueText(*option, *value));
    }
  }
  return lines;
}

}  // namespace

std::string EffectiveYaml(const Config& config) {
  Config copy = config;  // the table's functions take targets that are not const
  std::string text;
  for (const std::string& line : PrintSection(Section::kTop, {.config = &copy, .tls = &copy.tls})) {
    text += line + "\n";
  }
  return text;
}

}  // namespace starling
