// The option table: one row for each option. The loader's checks, the sample file and the
// output of -T all come from it. A new option is one row here and one field in config.h.
//
// Not for: rules between options (rules.h), or the syntax of YAML (yaml_tree.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"

namespace starling {

enum class Section : uint8_t {
  kTop,
  kTls,  // and a listener's tls_options
  kCertificate,
  kClientCertificate,
  kListener,
  kListenerProxy,
  kSource,
  kSmtp,  // from here to kIrc: of one protocol, or of xmpp's two
  kXmpp,
  kHttp,
  kFtp,
  kIrc,
  kBackend,
  kServer,
  kBackendTls,
  kBackendCertificate,
  kResolve,
  kMetrics,
  kLog,
  kLimits,  // general; a listener may have those with `in_listener`
};

// "the top level", "a listener" ...
std::string_view SectionName(Section section);
// The protocol that a section belongs to, as its key: the beginning of the protocol's name.
// Empty if the section belongs to all protocols.
std::string_view ProtocolOf(Section section);
// The section "xmpp" belongs to xmpp-client and xmpp-server.
bool IsSectionOf(Section section, std::string_view protocol);

enum class OptionType : uint8_t {
  kText,
  kNumber,
  kDuration,
  kSize,
  kFlag,         // true or false
  kChoice,       // one of `choices`
  kTextList,     // a list or a single text; of `choices` if there are any
  kSection,      // a map of the options of `child`
  kSectionList,  // a list of such maps
};

// When a changed value takes effect.
enum class Applies : uint8_t { kReload, kRestart };

// A value that the loader has read, or that -T prints.
struct OptionValue {
  uint64_t number = 0;            // kNumber, kDuration and kSize in the field's unit;
                                  // kChoice: which; kFlag: 0 or 1
  std::string text;               // kText, kChoice
  std::vector<std::string> list;  // kTextList

  bool operator==(const OptionValue&) const = default;
};

// The objects that hold an option's field. Those of the option's section and of the
// sections around it are set, the others are null.
struct OptionTarget {
  Config* config = nullptr;
  ListenerConfig* listener = nullptr;
  BackendConfig* backend = nullptr;
  ServerConfig* server = nullptr;
  CertificateEntry* certificate = nullptr;
  SourceRow* source = nullptr;
  TlsOptions* tls = nullptr;         // the listener's, or the general one
  ListenerLimits* limits = nullptr;  // the same
};

// Why an option rejects a value that its type allows.
struct Complaint {
  std::string expected;
  std::string hint = {};
  size_t element = 0;  // of a list
};

struct Option {
  Section section;
  std::string_view key;
  OptionType type;
  // What a kNumber counts, or what a text or each text of a list is.
  std::string_view unit = {};
  std::span<const std::string_view> choices = {};  // for a kNumber: words that it also accepts
  std::span<const std::string_view> (*late_choices)() = nullptr;  // if they are not constant
  uint64_t min = 0, max = 0;  // numbers, in the field's unit; 0, 0: any. Lists: how many
  uint64_t scale = 1;         // kDuration: milliseconds in the field's unit
  bool power_of_two = false;
  bool required = false;
  bool in_listener = false;  // kLimits: a listener may override it
  Applies applies = Applies::kReload;
  Section child = Section::kTop;  // kSection, kSectionList
  // kSectionList: an element may be a text instead of a map, which is this option of it. One
  // text alone may stand for the list.
  std::string_view text_key = {};
  std::string_view doc;  // what it does and why its default is what it is
  // The value in the sample file; empty: the default. `off`: the sample file shows the
  // option as a comment.
  std::string_view sample = {};
  bool off = false;
  // The default in words, if no field alone holds it.
  std::string (*default_text)() = nullptr;

  // Both are null for sections. The reader calls `set` with values that pass the checks of
  // type, range and choices. If `set` complains, the field keeps its value.
  std::vector<Complaint> (*set)(const OptionTarget& target, const OptionValue& value) = nullptr;
  // nullopt: the option is not set, and -T prints nothing.
  std::optional<OptionValue> (*get)(const OptionTarget& target) = nullptr;
};

std::span<const Option> AllOptions();

// The options of a section in the order of the table. `in_listener`: only the limits that
// a listener may override.
std::vector<const Option*> OptionsOf(Section section, bool in_listener = false);

std::span<const std::string_view> ChoicesOf(const Option& option);

// "text", "1 to 64 connections", "one of v1, v2" ...
std::string ExpectedText(const Option& option);
// The default as the file would have it. Empty if the option has no default.
std::string DefaultText(const Option& option);
// A number as the file would have it, for kNumber, kDuration and kSize.
std::string NumberText(const Option& option, uint64_t number);

// The names ("limits.sessions") of the options with Applies::kRestart whose values in
// `after` differ from those that the process was started with. If there are any, the
// gateway rejects a reload to `after`.
std::vector<std::string> NeedRestart(const Config& started_with, const Config& after);

// The output of -T: a configuration as YAML, with every option that has a value. Loading
// it gives the same configuration.
std::string EffectiveYaml(const Config& config);

// deploy/starling.sample.yaml: a valid configuration with every option, what it does, its
// range, its default and the reason. A '#' directly before an option switches it off.
std::string SampleYaml();

}  // namespace starling
