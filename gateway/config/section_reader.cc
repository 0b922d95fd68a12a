#include "gateway/config/section_reader.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>
#include <vector>

#include "gateway/config/options.h"
#include "gateway/config/units.h"
#include "gateway/limits.h"
#include "gateway/text/characters.h"

namespace starling {
namespace {

std::string NearestHint(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view nearest = Nearest(word, known);
  return nearest.empty() ? "" : "did you mean \"" + std::string(nearest) + "\"?";
}

// YAML's escapes can put line ends and other control characters into a text. The gateway
// would pass them on to greetings and logs.
bool IsPlain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kText && node.text.size() <= kMaxOptionText &&
         !HasControl(node.text);
}

class SectionReader {
 public:
  SectionReader(Draft& draft, Report& report) : draft_(draft), report_(report) {}

  void ReadSection(Section section, const YamlNode& node, const OptionTarget& target,
                   ReadMarks& marks);

 private:
  const Option* FindOption(Section section, const YamlNode::Key& key, bool in_listener);
  void ReadOption(const Option& option, const YamlNode& node, const OptionTarget& target,
                  ReadMarks& marks);
  void ReadList(const Option& option, const YamlNode& node, const OptionTarget& target,
                ReadMarks& marks);
  void ReadChild(const Option& option, const YamlNode& node, const OptionTarget& target,
                 ReadMarks& marks);
  void ReadTextElement(const Option& list, const YamlNode& node, const OptionTarget& target,
                       ReadMarks& marks);
  OptionTarget TargetOf(const Option& option, const OptionTarget& parent);

  // If something is wrong, each of these reports it and returns nullopt.
  std::optional<OptionValue> ReadValue(const Option& option, const YamlNode& node);
  std::optional<OptionValue> ReadNumber(const Option& option, const YamlNode& node);
  std::optional<OptionValue> ReadChoice(const Option& option, const YamlNode& node);
  std::optional<OptionValue> ReadTextList(const Option& option, const YamlNode& node);
  bool CheckCount(const Option& option, const YamlNode& node, size_t count);

  void Refuse(const Option& option, const YamlNode& node, std::string_view expected,
              std::string_view hint = {}) {
    report_.Error(node.mark, Describe(node) + " for " + std::string(option.key), expected, hint);
  }

  Draft& draft_;
  Report& report_;
};

const Option* SectionReader::FindOption(Section section, const YamlNode::Key& key,
                                        bool in_listener) {
  std::vector<std::string_view> known;
  for (const Option* option : OptionsOf(section, in_listener)) {
    if (option->key == key.text) return option;
    known.push_back(option->key);
  }
  const bool process_limit =
      in_listener && std::ranges::any_of(OptionsOf(section), [&](const Option* option) {
        return option->key == key.text;
      });
  if (process_limit) {
    report_.Error(
        key.mark,
        Quote(key.text) + " is a limit of the whole process; set it in the general section limits");
  } else {
    const std::string hint = NearestHint(key.text, known);
    report_.Error(key.mark, Quote(key.text) + " is not an option of " +
                                std::string(SectionName(section)) + "; " +
                                (hint.empty() ? "starling --sample prints all options" : hint));
  }
  return nullptr;
}

void SectionReader::ReadSection(Section section, const YamlNode& node, const OptionTarget& target,
                                ReadMarks& marks) {
  marks.at = node.mark;
  if (node.kind != YamlNode::Kind::kMap && node.kind != YamlNode::Kind::kNull) {
    report_.Error(node.mark, Describe(node),
                  "a map with the options of " + std::string(SectionName(section)));
    return;
  }
  const bool in_listener = section == Section::kLimits && target.listener != nullptr;
  // Listeners come last: they refer to backends and begin with the general limits.
  std::vector<std::pair<const Option*, const YamlNode*>> later;
  std::vector<std::string_view> given;
  for (size_t i = 0; i < node.children.size() && !report_.full(); ++i) {
    const Option* option = FindOption(section, node.keys[i], in_listener);
    if (option == nullptr) continue;
    given.push_back(option->key);
    if (option->type == OptionType::kSectionList && option->child == Section::kListener) {
      later.emplace_back(option, node.children[i]);
    } else {
      ReadOption(*option, *node.children[i], target, marks);
    }
  }
  for (const auto& [option, value] : later) ReadOption(*option, *value, target, marks);
  marks.damaged = marks.values.size() + marks.children.size() < node.children.size();
  for (const Option* option : OptionsOf(section)) {
    if (option->required && std::ranges::find(given, option->key) == given.end()) {
      const std::string missing(option->key);
      std::string text(SectionName(section));
      text.append(" has no ").append(missing).append("; add ").append(missing);
      report_.Error(node.mark, text.append(": ").append(ExpectedText(*option)));
    }
  }
}

void SectionReader::ReadOption(const Option& option, const YamlNode& node,
                               const OptionTarget& target, ReadMarks& marks) {
  if (option.type == OptionType::kSection) {
    ReadChild(option, node, target, marks);
    return;
  }
  if (option.type == OptionType::kSectionList) {
    ReadList(option, node, target, marks);
    return;
  }
  const std::optional<OptionValue> value = ReadValue(option, node);
  if (!value) return;
  const std::vector<Complaint> complaints = option.set(target, *value);
  for (const Complaint& complaint : complaints) {
    const bool in_list = complaint.element < node.children.size();
    Refuse(option, in_list ? *node.children[complaint.element] : node, complaint.expected,
           complaint.hint);
  }
  if (complaints.empty()) marks.values[option.key] = &node;
}

void SectionReader::ReadList(const Option& option, const YamlNode& node, const OptionTarget& target,
                             ReadMarks& marks) {
  std::vector<const YamlNode*> elements = node.children;
  if (node.kind == YamlNode::Kind::kText && !option.text_key.empty()) {
    elements = {&node};
  } else if (node.kind != YamlNode::Kind::kList) {
    Refuse(option, node, ExpectedText(option));
    return;
  }
  if (!CheckCount(option, node, elements.size())) return;
  // A listener begins with the general ones.
  if (option.child == Section::kCertificate) target.tls->certificates.clear();
  for (const YamlNode* element : elements) {
    if (report_.full()) return;
    ReadChild(option, *element, target, marks);
  }
}

// An element that is a text has no options but this one.
void SectionReader::ReadTextElement(const Option& list, const YamlNode& node,
                                    const OptionTarget& target, ReadMarks& marks) {
  marks.at = node.mark;
  for (const Option* option : OptionsOf(list.child)) {
    if (option->key == list.text_key) ReadOption(*option, node, target, marks);
  }
  marks.damaged = marks.values.empty();
}

void SectionReader::ReadChild(const Option& option, const YamlNode& node,
                              const OptionTarget& target, ReadMarks& marks) {
  ReadMarks& child = marks.children[option.key].emplace_back();
  if (node.kind == YamlNode::Kind::kText && !option.text_key.empty()) {
    ReadTextElement(option, node, TargetOf(option, target), child);
  } else {
    ReadSection(option.child, node, TargetOf(option, target), child);
  }
}

OptionTarget SectionReader::TargetOf(const Option& option, const OptionTarget& parent) {
  OptionTarget target = parent;
  if (option.child == Section::kCertificate) {
    target.certificate = &target.tls->certificates.emplace_back();
  } else if (option.child == Section::kSource) {
    auto& rows = parent.listener != nullptr ? parent.listener->sources : draft_.config.sources;
    target.source = &rows.emplace_back();
  } else if (option.child == Section::kBackend) {
    target.backend = &draft_.config.backends.emplace_back();
  } else if (option.child == Section::kServer) {
    assert(target.backend != nullptr);
    target.server = &target.backend->servers.emplace_back();
  } else if (option.child == Section::kBackendTls && target.backend != nullptr) {
    target.backend->tls.enabled = true;
  } else if (option.child == Section::kListener) {
    target.listener = &draft_.config.listeners.emplace_back();
    target.listener->limits = draft_.limits;
    target.listener->dialogue.hostname = draft_.config.hostname;
    target.limits = &target.listener->limits;
    target.listener->tls_options = draft_.config.tls;
    target.tls = &target.listener->tls_options;
  }
  return target;
}

bool SectionReader::CheckCount(const Option& option, const YamlNode& node, size_t count) {
  if (count >= option.min && count <= option.max) return true;
  report_.Error(node.mark, std::to_string(count) + " elements for " + std::string(option.key),
                std::to_string(option.min) + " to " + std::to_string(option.max));
  return false;
}

std::optional<OptionValue> SectionReader::ReadValue(const Option& option, const YamlNode& node) {
  OptionValue value;
  switch (option.type) {
    case OptionType::kText:
      value.text = node.text;
      if (IsPlain(node)) return value;
      break;
    case OptionType::kFlag:
      value.number = node.text == "true" ? 1 : 0;
      if (IsPlain(node) && (node.text == "true" || node.text == "false")) return value;
      break;
    case OptionType::kChoice:
      return ReadChoice(option, node);
    case OptionType::kTextList:
      return ReadTextList(option, node);
    default:
      return ReadNumber(option, node);
  }
  Refuse(option, node, ExpectedText(option));
  return std::nullopt;
}

std::optional<OptionValue> SectionReader::ReadNumber(const Option& option, const YamlNode& node) {
  OptionValue value;
  std::string_view form = "a number";
  std::optional<uint64_t> number;
  if (node.kind == YamlNode::Kind::kText) {
    if (std::ranges::find(ChoicesOf(option), std::string_view(node.text)) !=
        ChoicesOf(option).end()) {
      value.text = node.text;
      return value;
    }
    if (option.type == OptionType::kDuration) {
      number = ParseDuration(node.text);
    } else if (option.type == OptionType::kSize) {
      number = ParseSize(node.text);
    } else {
      number = ParseNumber(node.text);
    }
  }
  if (option.type == OptionType::kDuration) form = kDurationForm;
  if (option.type == OptionType::kSize) form = kSizeForm;
  if (!number) {
    const bool zero = node.kind == YamlNode::Kind::kText && HasLeadingZero(node.text);
    Refuse(option, node, std::string(form) + " (" + ExpectedText(option) + ")",
           zero ? "leave out the leading zero" : "");
    return std::nullopt;
  }
  value.number = *number / option.scale;
  const bool whole = *number % option.scale == 0;
  const bool power = value.number != 0 && (value.number & (value.number - 1)) == 0;
  if (!whole) {
    Refuse(option, node, "whole seconds");
  } else if (value.number < option.min || value.number > option.max ||
             (option.power_of_two && !power)) {
    Refuse(option, node, ExpectedText(option));
  } else {
    return value;
  }
  return std::nullopt;
}

std::optional<OptionValue> SectionReader::ReadChoice(const Option& option, const YamlNode& node) {
  const std::span<const std::string_view> choices = ChoicesOf(option);
  const auto found = std::ranges::find(choices, std::string_view(node.text));
  if (node.kind != YamlNode::Kind::kText || found == choices.end()) {
    const bool text = node.kind == YamlNode::Kind::kText;
    Refuse(option, node, ExpectedText(option), text ? NearestHint(node.text, choices) : "");
    return std::nullopt;
  }
  OptionValue value;
  value.number = static_cast<uint64_t>(found - choices.begin());
  value.text = node.text;
  return value;
}

std::optional<OptionValue> SectionReader::ReadTextList(const Option& option, const YamlNode& node) {
  std::vector<const YamlNode*> elements = node.children;
  if (node.kind == YamlNode::Kind::kText) elements = {&node};
  if (node.kind == YamlNode::Kind::kMap || node.kind == YamlNode::Kind::kNull) {
    Refuse(option, node, ExpectedText(option));
    return std::nullopt;
  }
  if (!CheckCount(option, node, elements.size())) return std::nullopt;
  const std::span<const std::string_view> choices = ChoicesOf(option);
  OptionValue value;
  bool good = true;
  for (size_t i = 0; i < elements.size(); ++i) {
    const YamlNode& element = *elements[i];
    const bool known = choices.empty() ||
                       std::ranges::find(choices, std::string_view(element.text)) != choices.end();
    if (!IsPlain(element)) {
      Refuse(option, element, "text");
    } else if (!known) {
      Refuse(option, element, ExpectedText(option), NearestHint(element.text, choices));
    } else if (std::ranges::find(value.list, element.text) != value.list.end()) {
      report_.Error(element.mark, Quote(element.text) + " is in the list twice; remove one");
    } else {
      value.list.push_back(element.text);
    }
    good = good && value.list.size() == i + 1;
  }
  if (!good) return std::nullopt;
  return value;
}

}  // namespace

void ReadSections(const YamlNode& root, Draft& draft, Report& report) {
  const OptionTarget target = {
      .config = &draft.config, .tls = &draft.config.tls, .limits = &draft.limits};
  SectionReader(draft, report).ReadSection(Section::kTop, root, target, draft.marks);
}

}  // namespace starling
