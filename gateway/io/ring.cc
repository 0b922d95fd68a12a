// What the real and the simulated ring share: tags and the features' names.
#include "gateway/io/ring.h"

#include <string>
#include <vector>

namespace starling {
namespace {

constexpr int kOpShift = 56;
constexpr int kSlotShift = 32;
constexpr uint64_t kSlotMask = (uint64_t{1} << 24) - 1;

static_assert(static_cast<unsigned>(Op::kCount) <= 128, "user_data above 127 << 56 is the ring's");

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    names.emplace_back(list.substr(0, comma));
    list.remove_prefix(comma == list.npos ? list.size() : comma + 1);
  }
  return names;
}

}  // namespace

uint64_t Pack(Tag tag) {
  return static_cast<uint64_t>(tag.op) << kOpShift | (tag.slot & kSlotMask) << kSlotShift |
         tag.generation;
}

Tag Unpack(uint64_t user_data) {
  Tag tag;
  tag.op = static_cast<Op>(user_data >> kOpShift);
  tag.slot = static_cast<uint32_t>(user_data >> kSlotShift & kSlotMask);
  tag.generation = static_cast<uint32_t>(user_data);
  return tag;
}

std::string RingFeatures::ToString() const {
  std::string names;
  auto add = [&names](bool on, const char* name) {
    if (!on) return;
    if (!names.empty()) names += ',';
    names += name;
  };
  add(defer_taskrun, "defer_taskrun");
  add(socket_options, "socket_options");
  add(fixed_fd_install, "fixed_fd_install");
  add(min_wait, "min_wait");
  return names.empty() ? "none" : names;
}

absl::StatusOr<RingFeatures> RingFeatures::Only(std::string_view wanted) const {
  if (wanted == "auto") return *this;
  RingFeatures kept = None();
  if (wanted == "none") return kept;
  for (const std::string& name : Split(wanted)) {
    if (name == "defer_taskrun") {
      kept.defer_taskrun = defer_taskrun;
    } else if (name == "socket_options") {
      kept.socket_options = socket_options;
    } else if (name == "fixed_fd_install") {
      kept.fixed_fd_install = fixed_fd_install;
    } else if (name == "min_wait") {
      kept.min_wait = min_wait;
    } else {
      return absl::InvalidArgumentError("no ring feature is called \"" + name + "\"; there are " +
                                        RingFeatures().ToString());
    }
  }
  return kept;
}

}  // namespace starling
