#include "gateway/sources/network_map.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "gateway/sources/source_key.h"

namespace starling {
namespace {

constexpr size_t kStride = 64;

uint32_t AddressV4(const Endpoint& endpoint) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | endpoint.ip[i];
  return value;
}

NetworkMap::U128 AddressV6(const Endpoint& endpoint) {
  NetworkMap::U128 value = 0;
  for (const uint8_t octet : endpoint.ip) value = value << 8 | octet;
  return value;
}

// The last address of the network of `bits` leading bits that begins at `first`.
template <class Address>
Address LastOf(Address first, unsigned bits) {
  constexpr unsigned kAll = 8 * sizeof(Address);
  const Address rest = bits == 0 ? static_cast<Address>(~Address{0})
                                 : static_cast<Address>((Address{1} << (kAll - bits)) - 1);
  return first | rest;
}

}  // namespace

template <class Address>
void NetworkMap::Ranges<Address>::Add(Address start, uint16_t value) {
  if (!starts_.empty() && starts_.back() == start) {
    starts_.pop_back();
    values_.pop_back();
  }
  if (!values_.empty() && values_.back() == value) return;
  starts_.push_back(start);
  values_.push_back(value);
}

// Goes through the networks from the lowest first address to the highest. `open` has those that
// the place is in, the innermost last.
template <class Address>
void NetworkMap::Ranges<Address>::Fill(std::vector<Span> spans) {
  std::ranges::sort(spans, [](const Span& a, const Span& b) {
    if (a.first != b.first) return a.first < b.first;
    return a.last != b.last ? a.last > b.last : a.order < b.order;
  });
  starts_.reserve(2 * spans.size() + 1);
  values_.reserve(2 * spans.size() + 1);
  Add(0, 0);
  std::vector<Span> open;
  const auto close_before = [&](Address place, bool all) {
    while (!open.empty() && (all || open.back().last < place)) {
      const Address last = open.back().last;
      open.pop_back();
      if (last == static_cast<Address>(~Address{0})) continue;
      Add(last + 1, open.empty() ? 0 : open.back().value);
    }
  };
  for (const Span& span : spans) {
    close_before(span.first, false);
    Add(span.first, span.value);
    open.push_back(span);
  }
  close_before(0, true);
  for (size_t i = 0; i < starts_.size(); i += kStride) index_.push_back(starts_[i]);
  starts_.shrink_to_fit();
  values_.shrink_to_fit();
}

template <class Address>
uint16_t NetworkMap::Ranges<Address>::Find(Address address) const {
  const auto block = std::ranges::upper_bound(index_, address) - index_.begin() - 1;
  const auto begin = starts_.begin() + block * static_cast<ptrdiff_t>(kStride);
  const auto end = starts_.end() - begin > static_cast<ptrdiff_t>(kStride)
                       ? begin + static_cast<ptrdiff_t>(kStride)
                       : starts_.end();
  const auto after = std::upper_bound(begin, end, address);
  return values_[static_cast<size_t>(after - starts_.begin()) - 1];
}

template <class Address>
size_t NetworkMap::Ranges<Address>::octets() const {
  return (starts_.size() + index_.size()) * sizeof(Address) + values_.size() * sizeof(uint16_t);
}

template class NetworkMap::Ranges<uint32_t>;
template class NetworkMap::Ranges<NetworkMap::U128>;

NetworkMap::NetworkMap(std::span<const Entry> entries) {
  std::vector<Ranges<uint32_t>::Span> v4;
  std::vector<Ranges<U128>::Span> v6;
  uint32_t order = 0;
  for (const Entry& entry : entries) {
    ++order;
    const Endpoint host = HostOf(entry.network.network);
    const bool mapped = host.family != entry.network.network.family && entry.network.bits >= 96;
    if (mapped || entry.network.network.family == Endpoint::Family::kV4) {
      const unsigned bits = entry.network.bits - (mapped ? 96u : 0u);
      v4.push_back({AddressV4(host), LastOf(AddressV4(host), bits), order, entry.value});
    } else {
      const U128 first = AddressV6(entry.network.network);
      v6.push_back({first, LastOf(first, entry.network.bits), order, entry.value});
    }
  }
  v4_.Fill(std::move(v4));
  v6_.Fill(std::move(v6));
}

uint16_t NetworkMap::Find(const Endpoint& address) const {
  const Endpoint host = HostOf(address);
  switch (host.family) {
    case Endpoint::Family::kV4:
      return v4_.Find(AddressV4(host));
    case Endpoint::Family::kV6:
      return v6_.Find(AddressV6(host));
    case Endpoint::Family::kNone:
      break;
  }
  return 0;
}

}  // namespace starling
