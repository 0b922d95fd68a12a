#include "gateway/machine/control_groups.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace starling {
namespace {

// Groups are nested a few levels deep; the outermost ones have no limit of their own.
constexpr size_t kMaxGroups = 16;
constexpr size_t kMaxText = 64 * 1024;

bool Lists(std::string_view words, std::string_view wanted) {
  while (!words.empty()) {
    const size_t comma = std::min(words.find(','), words.size());
    if (words.substr(0, comma) == wanted) return true;
    words.remove_prefix(std::min(comma + 1, words.size()));
  }
  return false;
}

// Where a hierarchy is mounted, and the group that is its root there: a container may see only
// a part of the tree.
struct Mount {
  std::string group;
  std::string folder;
};

// An empty controller stands for version 2, whose one hierarchy has all of them.
std::optional<Mount> FindMount(std::string_view mounts, std::string_view controller) {
  while (!mounts.empty()) {
    std::string_view line = NextLine(mounts);
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view rest = line.substr(dash + 3);
    const std::string_view type = NextWord(rest);
    NextWord(rest);  // the source
    const bool wanted = controller.empty() ? type == "cgroup2"
                                           : type == "cgroup" && Lists(NextWord(rest), controller);
    if (!wanted) continue;
    for (int i = 0; i < 3; ++i) NextWord(line);  // ids of the mount, its parent, its device
    const std::string_view group = NextWord(line);
    return Mount{std::string(group), std::string(NextWord(line))};
  }
  return std::nullopt;
}

// The group of the process in one hierarchy: a line "number:controllers:path".
std::optional<std::string> FindGroup(std::string_view cgroup, std::string_view controller) {
  while (!cgroup.empty()) {
    const std::string_view line = NextLine(cgroup);
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : Lists(controllers, controller)) {
      return std::string(line.substr(second + 1));
    }
  }
  return std::nullopt;
}

std::vector<std::string> FindFolders(std::string_view cgroup, std::string_view mounts,
                                     std::string_view controller) {
  std::vector<std::string> folders;
  const std::optional<Mount> mount = FindMount(mounts, controller);
  std::optional<std::string> group = FindGroup(cgroup, controller);
  if (!mount || !group) return folders;
  if (mount->group != "/") {
    // What lies outside the mounted part cannot be read.
    const size_t size = mount->group.size();
    const bool inside =
        group->starts_with(mount->group) && (group->size() == size || (*group)[size] == '/');
    if (!inside) return {mount->folder};
    group->erase(0, mount->group.size());
  }
  std::string path = *group == "/" ? "" : *group;
  while (folders.size() < kMaxGroups) {
    folders.push_back(mount->folder + path);
    if (path.empty()) break;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return folders;
}

}  // namespace

ControlGroups ControlGroups::Of(std::string_view controller, const std::string& root) {
  return FindControlGroups(controller, ReadSmallFile(root + "/proc/self/cgroup"),
                           ReadSmallFile(root + "/proc/self/mountinfo"));
}

ControlGroups FindControlGroups(std::string_view controller, std::string_view cgroup,
                                std::string_view mounts) {
  return {.v2 = FindFolders(cgroup, mounts, ""), .v1 = FindFolders(cgroup, mounts, controller)};
}

std::string ReadSmallFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text(kMaxText, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t more = read(fd, text.data() + size, text.size() - size);
    if (more <= 0) break;
    size += static_cast<size_t>(more);
  }
  close(fd);
  text.resize(size);
  return text;
}

std::string_view NextLine(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view NextWord(std::string_view& line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::optional<uint64_t> WholeNumber(std::string_view word) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (word.empty() || error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

}  // namespace starling
