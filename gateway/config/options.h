// The option table: one row an option. From it come the loader's known keys and
// checks, the documented sample file and what -T prints. A new option is one
// row here and one field in config.h.
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
  kSmtp,  // these belong to one protocol, or to its two halves
  kXmpp,
  kHttp,
  kFtp,
  kIrc,
  kBackend,
  kBackendTls,
  kBackendCertificate,
  kMetrics,
  kLog,
  kLimits,  // of the process; a listener has those with `in_listener`
};

// "the top level", "a listener" ...
std::string_view SectionName(Section section);
// Whether a section belongs to protocols of its own, which it names by how theirs begin.
std::string_view ProtocolOf(Section section);
// "xmpp" is of xmpp-client and xmpp-server; sections of none are of all.
bool IsSectionOf(Section section, std::string_view protocol);

enum class OptionType : uint8_t {
  kText,
  kNumber,
  kDuration,
  kSize,
  kFlag,         // true or false
  kChoice,       // one of `choices`
  kTextList,     // a list, or one text alone; of `choices` if there are any
  kSection,      // a map of the options of `child`
  kSectionList,  // a list of those
};

// When a changed value takes effect.
enum class Applies : uint8_t { kReload, kRestart };

// A value as read from the file, or to be printed.
struct OptionValue {
  uint64_t number = 0;            // kNumber, kDuration and kSize in the field's unit;
                                  // kChoice: which; kFlag: 0 or 1
  std::string text;               // kText, kChoice
  std::vector<std::string> list;  // kTextList

  bool operator==(const OptionValue&) const = default;
};

// What an option is read into and printed from. Those above the section of an
// option are always there, the others null.
struct OptionTarget {
  Config* config = nullptr;
  ListenerConfig* listener = nullptr;
  BackendConfig* backend = nullptr;
  CertificateEntry* certificate = nullptr;
  TlsOptions* tls = nullptr;         // the listener's, or the general one
  ListenerLimits* limits = nullptr;  // the same
};

// Why a value that its type allows is refused.
struct Complaint {
  std::string expected;
  std::string hint = {};
  size_t element = 0;  // of a list
};

struct Option {
  Section section;
  std::string_view key;
  OptionType type;
  // What a kNumber counts; what a text is, and in a list each one.
  std::string_view unit = {};
  std::span<const std::string_view> choices = {};  // of a kNumber: words that it may be instead
  std::span<const std::string_view> (*late_choices)() = nullptr;  // where no constant has them
  uint64_t min = 0, max = 0;  // numbers, in the field's unit; 0, 0: any. Lists: how many
  uint64_t scale = 1;         // kDuration: milliseconds in the field's unit
  bool power_of_two = false;
  bool required = false;
  bool in_listener = false;  // kLimits: a listener may override it
  Applies applies = Applies::kReload;
  Section child = Section::kTop;  // kSection, kSectionList
  std::string_view doc;           // what it does and why its default is what it is
  // In the sample file: the value shown, unless the default is; `off` shows it
  // as a comment.
  std::string_view sample = {};
  bool off = false;
  // The default in words, where no field alone says it.
  std::string (*default_text)() = nullptr;

  // Both null for sections. `set` is called with values that the type, the range
  // and the choices allow; the field keeps what it had if there is a complaint.
  std::vector<Complaint> (*set)(const OptionTarget& target, const OptionValue& value) = nullptr;
  // nullopt: not set, nothing is printed.
  std::optional<OptionValue> (*get)(const OptionTarget& target) = nullptr;
};

std::span<const Option> AllOptions();

// The options of a section, in the order of the table; `in_listener`: of the
// limits only those that a listener may override.
std::vector<const Option*> OptionsOf(Section section, bool in_listener = false);

std::span<const std::string_view> ChoicesOf(const Option& option);

// "text", "1 to 64 connections", "one of v1, v2" ...
std::string ExpectedText(const Option& option);
// As it stands in the file; empty if there is none.
std::string DefaultText(const Option& option);
// A number as it stands in the file, for kNumber, kDuration and kSize.
std::string NumberText(const Option& option, uint64_t number);

// The options with Applies::kRestart whose values in `after` differ from those that the
// process was started with, by their names in the file ("limits.sessions"). A reload to
// `after` is refused because of them.
std::vector<std::string> NeedRestart(const Config& started_with, const Config& after);

// A configuration as YAML with every option that it has a value for; loads to
// the same configuration again. What -T prints.
std::string EffectiveYaml(const Config& config);

// A valid configuration with every option, what it does, its range, its default
// and why: deploy/starling.sample.yaml. Lines that begin with '#' and no space
// after it are options, switched off.
std::string SampleYaml();

}  // namespace starling
