// The tag of the current command, kept for the answer (RFC 3501 section 2.2.1, RFC 2244
// section 2.2.1). The gateway repeats nothing else that a client sends.
//
// Not for: which characters a tag may have. Each protocol decides that.
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
  // If the word is not a tag, the gateway never sends it back, and the answer is untagged.
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
