// The common part of the real and the simulated ring: tags and the names of features.
#include "gateway/io/ring.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace starling {
namespace {

constexpr int kOpShift = 57;
constexpr int kSideShift = 56;
constexpr int kSlotShift = 32;
constexpr uint64_t kSlotMask = (uint64_t{1} << 24) - 1;

static_assert(static_cast<unsigned>(Op::kCount) <= 64, "user_data above 127 << 56 is the ring's");

struct Feature {
  const char* name;
  bool RingFeatures::* field;
};
constexpr Feature kFeatures[] = {
    {"defer_taskrun", &RingFeatures::defer_taskrun},
    {"socket_options", &RingFeatures::socket_options},
    {"fixed_fd_install", &RingFeatures::fixed_fd_install},
    {"min_wait", &RingFeatures::min_wait},
};

}  // namespace

uint64_t Pack(Tag tag) {
  return static_cast<uint64_t>(tag.op) << kOpShift | static_cast<uint64_t>(tag.side) << kSideShift |
         (tag.slot & kSlotMask) << kSlotShift | tag.generation;
}

Tag Unpack(uint64_t user_data) {
  Tag tag;
  tag.op = static_cast<Op>(user_data >> kOpShift);
  tag.side = static_cast<SocketSide>(user_data >> kSideShift & 1);
  tag.slot = static_cast<uint32_t>(user_data >> kSlotShift & kSlotMask);
  tag.generation = static_cast<uint32_t>(user_data);
  return tag;
}

std::string RingFeatures::ToString() const {
  std::string names;
  for (const Feature& feature : kFeatures) {
    if (this->*feature.field) absl::StrAppend(&names, names.empty() ? "" : ",", feature.name);
  }
  return names.empty() ? "none" : names;
}

absl::StatusOr<RingFeatures> RingFeatures::Only(std::string_view wanted) const {
  if (wanted == "auto") return *this;
  RingFeatures features = None();
  if (wanted == "none") return features;
  for (bool more = true; more;) {
    const size_t comma = wanted.find(',');
    const std::string_view name = wanted.substr(0, comma);
    const auto known =
        std::find_if(std::begin(kFeatures), std::end(kFeatures),
                     [name](const Feature& feature) { return feature.name == name; });
    if (known == std::end(kFeatures)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "no feature of io_uring is called \"", std::string(name),
          "\"; there are auto, none and, with commas between them, ", RingFeatures().ToString()));
    }
    features.*known->field = this->*known->field;
    more = comma != std::string_view::npos;
    if (more) wanted.remove_prefix(comma + 1);
  }
  return features;
}

uint64_t DescriptorTableSize(const RingOptions& options) {
  return 2 * uint64_t{options.sessions} + options.listeners + options.accepts + kSpareDescriptors;
}

uint32_t SubmissionEntries(const RingOptions& options) {
  return std::bit_ceil(std::clamp(options.sessions, 64u, 1024u));
}

uint32_t CompletionEntries(const RingOptions& options) {
  const uint32_t wanted = std::bit_ceil(std::clamp(2 * options.sessions, 512u, 16384u));
  return std::max(wanted, 4 * SubmissionEntries(options));
}

uint64_t RingMemory(const RingOptions& options) {
  const uint64_t submissions = SubmissionEntries(options);
  const uint64_t completions = CompletionEntries(options);
  constexpr uint64_t kSubmission = 64 + 4;  // octets of an entry and of its index
  constexpr uint64_t kCompletion = 16;
  constexpr uint64_t kBuffer = 16;
  return submissions * kSubmission + completions * kCompletion +
         (uint64_t{options.small_buffers} + options.large_buffers) * kBuffer;
}

}  // namespace starling
