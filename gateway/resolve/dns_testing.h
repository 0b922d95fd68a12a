// Messages of DNS servers, for tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace starling {

using Octets = std::vector<uint8_t>;

inline void Append(Octets& out, uint32_t number, int octets) {
  for (int i = octets - 1; i >= 0; --i) out.push_back(static_cast<uint8_t>(number >> (8 * i)));
}

inline void AppendName(Octets& out, std::string_view name) {
  while (!name.empty()) {
    const size_t end = std::min(name.find('.'), name.size());
    out.push_back(static_cast<uint8_t>(end));
    out.insert(out.end(), name.begin(), name.begin() + static_cast<ptrdiff_t>(end));
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  out.push_back(0);
}

// An answer to a question.
class Message {
 public:
  explicit Message(uint16_t type, std::string_view name = "x.example", uint8_t rcode = 0) {
    for (const uint32_t field : {0x1234u, 0x8180u + rcode, 1u, 0u, 0u, 0u}) {
      Append(octets_, field, 2);
    }
    AppendName(octets_, name);
    Append(octets_, type, 2);
    Append(octets_, 1, 2);
  }
  Message& Add(std::string_view name, uint16_t type, uint32_t ttl, const Octets& data) {
    AppendName(octets_, name);
    Append(octets_, type, 2);
    Append(octets_, 1, 2);
    Append(octets_, ttl, 4);
    Append(octets_, static_cast<uint32_t>(data.size()), 2);
    octets_.insert(octets_.end(), data.begin(), data.end());
    ++octets_[7];
    return *this;
  }
  const Octets& octets() const { return octets_; }

 private:
  Octets octets_;
};

inline constexpr uint16_t kA = 1, kCname = 5, kAaaa = 28, kSrv = 33;

inline Octets Alias(std::string_view name) {
  Octets data;
  AppendName(data, name);
  return data;
}

inline Octets Srv(uint16_t priority, uint16_t weight, uint16_t port, std::string_view target) {
  Octets data;
  Append(data, priority, 2);
  Append(data, weight, 2);
  Append(data, port, 2);
  AppendName(data, target);
  return data;
}

}  // namespace starling
