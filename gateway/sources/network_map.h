// What networks mean: the value of the longest one that an address is in. It answers as a trie of
// prefixes does, from the ranges that such a trie cuts the addresses into: sorted, with an index
// of every 64th above them. So a million networks of IPv4 take 12 MB, and of IPv6 36 MB, and an
// address is found within three or four cache lines that are not in the cache already.
//
// Made once; then any number of threads may look. Not for: what a value stands for (rules.h,
// deny_lists.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gateway/config/config.h"
#include "protocols/contract/endpoint.h"

namespace starling {

class NetworkMap {
 public:
  struct Entry {
    Cidr network;
    uint16_t value = 0;
  };
  NetworkMap() : NetworkMap(std::span<const Entry>()) {}
  // Of two equal networks the later one counts. An IPv4 network in IPv6's form is one of IPv4.
  explicit NetworkMap(std::span<const Entry> entries);

  // 0: no network has it; for an address of no family too.
  uint16_t Find(const Endpoint& address) const;

  size_t octets() const { return v4_.octets() + v6_.octets(); }

  __extension__ using U128 = unsigned __int128;

  // Ranges of one family.
  template <class Address>
  class Ranges {
   public:
    // A network as its first and last address.
    struct Span {
      Address first{};
      Address last{};
      uint32_t order = 0;  // of two equal ones the higher counts
      uint16_t value = 0;
    };
    void Fill(std::vector<Span> spans);
    uint16_t Find(Address address) const;
    size_t octets() const;

   private:
    void Add(Address start, uint16_t value);
    std::vector<Address> starts_;   // the first is 0
    std::vector<uint16_t> values_;  // of each range
    std::vector<Address> index_;    // every 64th of `starts_`
  };

 private:
  Ranges<uint32_t> v4_;
  Ranges<U128> v6_;
};

}  // namespace starling
