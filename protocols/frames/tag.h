// The tag of the command at hand, kept for its answer (RFC 3501 section 2.2.1, RFC 2244
// section 2.2.1). Nothing that a client sends is said back to it but this.
//
// Not for: what a tag may consist of, which each protocol says.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace starling {

template <size_t kMaxSize>
class Tag {
 public:
  // What is no tag is never sent back; the answer is untagged then.
  void Keep(std::string_view word, bool valid) {
    const std::string_view kept = valid && word.size() <= kMaxSize ? word : kNone;
    std::copy(kept.begin(), kept.end(), text_.begin());
    size_ = static_cast<uint8_t>(kept.size());
  }
  std::string_view text() const { return {text_.data(), size_}; }
  bool none() const { return text() == kNone; }

 private:
  static constexpr std::string_view kNone = "*";
  static_assert(kMaxSize >= kNone.size() && kMaxSize <= UINT8_MAX);

  std::array<char, kMaxSize> text_{};
  uint8_t size_ = 0;
};

}  // namespace starling
