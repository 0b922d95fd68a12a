#include "gateway/io/uring/uring_features.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace starling::uring {
namespace {

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

}  // namespace starling::uring
