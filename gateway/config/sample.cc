#include <algorithm>
#include <string>
#include <string_view>

#include "gateway/config/options.h"

namespace starling {
namespace {

constexpr size_t kColumns = 100;

constexpr std::string_view kIntroduction =
    R"(# Starling's options: what each one does, its default, and the reason for the default.
# `starling --sample` prints this file. `starling -t -c FILE` checks a file and warns of settings
# that are valid but dangerous. `starling -T -c FILE` prints every setting, including defaults.
#
# A duration has a unit (500ms, 30s, 5m, 1h). A size may have one (64KiB, 1MiB). A '#' directly
# before an option switches it off.
)";

// Further elements of a list, after the first, documented one.
struct Example {
  Section section;
  std::string_view lines;
};
constexpr Example kExamples[] = {
    {Section::kCertificate,
     R"(    - {cert: /etc/starling/rsa.crt, key: /etc/starling/rsa.key}
    - {pem: /etc/starling/bundle.pem}
    - {folder: /etc/letsencrypt/live}
)"},
    {Section::kListener,
     R"(  - {name: submission, protocol: smtp, bind: "0.0.0.0:587", tls: starttls, backend: submission}
  - {name: submissions, protocol: smtp, bind: "0.0.0.0:465", tls: implicit, backend: submission}
  - {name: imap, protocol: imap, bind: "0.0.0.0:143", tls: starttls, backend: dovecot}
  - {name: imaps, protocol: imap, bind: "0.0.0.0:993", tls: implicit, backend: dovecot}
  - {name: other, protocol: tcp, bind: "0.0.0.0:4433", tls: implicit, backend: other}
)"},
    {Section::kServer, R"(      - "127.0.0.1:12201"
)"},
    {Section::kSource,
     R"(  - {from: 198.51.100.7, role: trusted, sessions: 2000}
  - {from: [192.0.2.10, 192.0.2.11], role: probe}
  - {from: 192.0.2.16/30, role: balancer}
)"},
    {Section::kBackend,
     R"(  - {name: postfix-plain, servers: "127.0.0.1:12202", proxy_protocol: v2}
  - {name: submission, servers: "127.0.0.1:12203", proxy_protocol: v2}
  - {name: dovecot, servers: ["127.0.0.1:10143", "127.0.0.1:10144"], proxy_protocol: v2}
  - {name: other, servers: "unix:/run/other.sock"}
)"},
};

void AppendComment(std::string& out, const std::string& indent, std::string_view text) {
  std::string line = indent + "#";
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() + 1 + word.size() > kColumns) {
      out += line + "\n";
      line = indent + "#";
    }
    line.append(" ").append(word);
  }
  out += line + "\n";
}

// "1s to 1h. Default: 30s. A change needs a restart."
std::string Facts(const Option& option) {
  std::string facts = ExpectedText(option) + ". ";
  facts[0] = static_cast<char>(facts[0] >= 'a' && facts[0] <= 'z' ? facts[0] - 32 : facts[0]);
  const std::string fallback = DefaultText(option);
  if (option.required) {
    facts += "Required.";
  } else if (!fallback.empty()) {
    facts += "Default: " + fallback + ".";
  }
  if (option.applies == Applies::kRestart) facts += " A change needs a restart.";
  if (option.in_listener) facts += " A listener may override it.";
  return facts;
}

void AppendSection(std::string& out, Section section, const std::string& indent, bool off);

// A dash before the key counts as part of the indentation. `off`: the section is off.
void AppendOption(std::string& out, const Option& option, const std::string& indent,
                  std::string_view dash, bool off) {
  const std::string outer = indent.substr(0, indent.size() - dash.size());
  const bool section = option.type == OptionType::kSection;
  const bool list = option.type == OptionType::kSectionList;
  const std::string mark = off || option.off ? "#" : "";
  AppendComment(out, outer, option.doc);
  const std::string key = outer + std::string(dash) + mark + std::string(option.key) + ":";
  if (!section && !list) {
    AppendComment(out, outer, Facts(option));
    if (option.off && option.sample.empty()) return;  // an example shows it
    out += key + " " + (option.sample.empty() ? DefaultText(option) : std::string(option.sample)) +
           "\n";
  } else if (!option.sample.empty()) {
    out += key + " " + std::string(option.sample) + "\n";
  } else {
    out += key + "\n";
    AppendSection(out, option.child, indent + (list ? "    " : "  "), !mark.empty());
    for (const Example& example : kExamples) {
      if (list && example.section == option.child) out += example.lines;
    }
  }
}

// Indents the elements of lists by four and begins them with a dash.
void AppendSection(std::string& out, Section section, const std::string& indent, bool off) {
  const bool element = section == Section::kCertificate || section == Section::kListener ||
                       section == Section::kBackend || section == Section::kServer ||
                       section == Section::kSource;
  bool first = true;
  for (const Option* option : OptionsOf(section)) {
    if (section == Section::kTop) out += "\n";
    AppendOption(out, *option, indent, element && first ? "- " : "", off);
    first = false;
  }
}

}  // namespace

std::string SampleYaml() {
  std::string out(kIntroduction);
  AppendSection(out, Section::kTop, "", false);
  return out;
}

}  // namespace starling
