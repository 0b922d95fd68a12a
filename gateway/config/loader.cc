#include "gateway/config/loader.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "gateway/config/checks.h"
#include "gateway/config/draft.h"
#include "gateway/config/rules.h"
#include "gateway/config/section_reader.h"
#include "gateway/config/yaml_tree.h"

namespace starling {
namespace {

std::string Lines(const std::vector<Problem>& problems, std::string_view file,
                  std::string_view kind) {
  std::string lines;
  for (const Problem& problem : problems) {
    lines += ToString({problem.mark, std::string(kind) + ": " + problem.text}, file) + "\n";
  }
  return lines;
}

}  // namespace

LoadEnvironment LoadEnvironment::OfSystem() {
  LoadEnvironment environment;
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0 && !CheckHostname(name)) environment.hostname = name;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
    environment.cpus = static_cast<uint32_t>(std::max(CPU_COUNT(&cpus), 1));
  }
  return environment;
}

std::string LoadResult::ErrorText() const { return Lines(errors, file, "error"); }

std::string LoadResult::WarningText() const { return Lines(warnings, file, "warning"); }

LoadResult LoadConfig(std::string_view text, std::string_view file,
                      const LoadEnvironment& environment) {
  Report report;
  Draft draft;
  draft.config.file = file;
  draft.config.hostname = environment.hostname;
  draft.config.workers = environment.cpus;
  const YamlTree tree = YamlTree::Parse(text, report);
  const bool empty = tree.root().kind == YamlNode::Kind::kNull;
  if (empty && !report.failed()) {
    report.Error({}, "an empty file", "tls, listeners and backends");
  } else if (!empty) {
    ReadSections(tree.root(), draft, report);
    ApplyRules(draft, report);
  }
  if (!report.failed()) CollectWarnings(draft, report);

  LoadResult result;
  result.file = file;
  result.errors = report.TakeErrors();
  result.warnings = report.TakeWarnings();
  result.config = std::move(draft.config);
  return result;
}

LoadResult LoadConfigFile(const std::string& file, const LoadEnvironment& environment) {
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  if (stream) {
    // One octet more than is allowed is enough to refuse the rest unread.
    text.resize(kMaxYamlSize + 1);
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(stream.gcount()));
  }
  if (!stream.is_open() || stream.bad()) {
    LoadResult result;
    result.file = file;
    result.errors.push_back({{}, "read nothing, expected a file: " + std::string(strerror(errno))});
    return result;
  }
  return LoadConfig(text, file, environment);
}

}  // namespace starling
