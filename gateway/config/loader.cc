#include "gateway/config/loader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "gateway/config/checks.h"
#include "gateway/config/draft.h"
#include "gateway/config/rules.h"
#include "gateway/config/section_reader.h"
#include "gateway/config/yaml_tree.h"
#include "gateway/limits.h"
#include "gateway/machine/cpus.h"

namespace starling {
namespace {

std::string CannotRead(const char* why) { return std::string("cannot read the file: ") + why; }

std::string Lines(const std::vector<Problem>& problems, std::string_view file,
                  std::string_view kind) {
  std::string lines;
  for (const Problem& problem : problems) {
    lines += ToString({problem.mark, std::string(kind) + ": " + problem.text}, file) + "\n";
  }
  return lines;
}

std::string TooLarge(const std::string& size) {
  return "the file has " + size + " octets; at most " + std::to_string(kMaxYamlSize) +
         " are allowed";
}

// Returns the error, or an empty text. An ordinary open() of a FIFO would block, and at a
// reload the main thread would block with it.
std::string ReadText(const std::string& file, std::string& text, bool& world_writable) {
  const int fd = open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  struct stat status = {};
  if (fd < 0) return CannotRead(strerror(errno));
  if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) {
    close(fd);
    return CannotRead("it is a FIFO, which a reload could not read again");
  }
  // Anybody may write to a device such as /dev/null.
  const bool regular = S_ISREG(status.st_mode);
  world_writable = regular && (status.st_mode & S_IWOTH) != 0;
  if (regular && status.st_size > static_cast<off_t>(kMaxYamlSize)) {
    close(fd);
    return TooLarge(std::to_string(status.st_size));
  }
  // One octet above the limit is enough to reject the file without reading the rest.
  text.resize(kMaxYamlSize + 1);
  size_t size = 0;
  ssize_t got = 0;
  while ((got = read(fd, text.data() + size, text.size() - size)) > 0) {
    size += static_cast<size_t>(got);
  }
  const int error = got < 0 ? errno : 0;
  close(fd);
  text.resize(size);
  if (error != 0) return CannotRead(strerror(error));
  return size > kMaxYamlSize ? TooLarge("more than " + std::to_string(kMaxYamlSize)) : "";
}

// Until the number is known.
constexpr char kAuto[] = "auto";

void ResolveSessions(const LoadEnvironment& environment, Config& config) {
  if (config.sessions_from.empty()) return;
  const FittedSessions fitted =
      environment.sessions == nullptr ? FittedSessions{} : environment.sessions(config);
  config.limits.sessions = fitted.sessions;
  config.sessions_from = fitted.from;
}

}  // namespace

LoadEnvironment LoadEnvironment::OfSystem() {
  LoadEnvironment environment;
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0 && !CheckHostname(name)) environment.hostname = name;
  const Cpus cpus = Cpus::OfProcess();
  environment.cpus = std::min(cpus.usable(), kMaxWorkers);
  environment.cpus_from = cpus.Source();
  environment.throttled = cpus.throttled();
  return environment;
}

LoadEnvironment LoadEnvironment::OfReload(const Config& started_with) {
  LoadEnvironment environment = OfSystem();
  environment.cpus = started_with.workers;
  FittedSessions fitted{started_with.limits.sessions, started_with.sessions_from};
  if (fitted.from.empty()) fitted.from = "the start";
  environment.sessions = [fitted = std::move(fitted)](const Config&) { return fitted; };
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
  draft.config.workers_from = environment.cpus_from;
  draft.config.throttled = environment.throttled;
  draft.config.sessions_from = kAuto;
  const YamlTree tree = YamlTree::Parse(text, report);
  const bool empty = tree.root().kind == YamlNode::Kind::kNull;
  if (empty && !report.failed()) {
    report.Error({}, "the file is empty; it needs tls, listeners and backends");
  } else if (!empty) {
    ReadSections(tree.root(), draft, report);
    ResolveSessions(environment, draft.config);
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
  std::string text;
  bool world_writable = false;
  const std::string failure = ReadText(file, text, world_writable);
  LoadResult result;
  if (failure.empty()) {
    result = LoadConfig(text, file, environment);
    if (!result.ok() || !world_writable) return result;
    result.warnings.insert(
        result.warnings.begin(),
        {{}, "every user can write this file; take that right away (chmod o-w)"});
    return result;
  }
  result.file = file;
  result.errors.push_back({{}, failure});
  return result;
}

}  // namespace starling
