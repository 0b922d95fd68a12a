#include "gateway/resolve/dns_message.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <tuple>

namespace starling {
namespace {

// As many addresses as a message of 64 KiB can have, so that none is left out before they are
// sorted.
constexpr size_t kMostRecords = 4'096;
constexpr uint32_t kNoTtl = UINT32_MAX;
// Offsets and sizes of RFC 1035 section 4.1.
constexpr size_t kHeader = 12;
constexpr size_t kQuestionTail = 4;
constexpr size_t kRecordTail = 10;

// Of what one record of weight 1 has, if it has one address.
constexpr uint32_t kWeightUnit = 100;

int SizeOf(std::span<const uint8_t> message) { return static_cast<int>(message.size()); }

uint32_t Number(std::span<const uint8_t> octets) {
  uint32_t number = 0;
  for (const uint8_t octet : octets) number = number << 8 | octet;
  return number;
}

// The size of the name at `at`; 0 if no whole name begins there.
size_t NameSize(std::span<const uint8_t> message, size_t at) {
  if (at >= message.size()) return 0;
  char* name = nullptr;
  long size = 0;
  if (ares_expand_name(message.data() + at, message.data(), SizeOf(message), &name, &size) !=
      ARES_SUCCESS) {
    return 0;
  }
  ares_free_string(name);
  return static_cast<size_t>(size);
}

// The lowest TTL of the answer's records. The library does not tell those of SRV records.
uint32_t LowestTtl(std::span<const uint8_t> message) {
  if (message.size() < kHeader) return 0;
  const uint32_t questions = Number(message.subspan(4, 2));
  const uint32_t answers = Number(message.subspan(6, 2));
  size_t at = kHeader;
  for (uint32_t i = 0; i < questions; ++i) {
    const size_t name = NameSize(message, at);
    if (name == 0) return 0;
    at += name + kQuestionTail;
  }
  uint32_t lowest = kNoTtl;
  for (uint32_t i = 0; i < answers; ++i) {
    const size_t name = NameSize(message, at);
    if (name == 0 || message.size() - at < name + kRecordTail) return 0;
    const std::span<const uint8_t> tail = message.subspan(at + name, kRecordTail);
    lowest = std::min(lowest, Number(tail.subspan(4, 4)));
    at += name + kRecordTail + Number(tail.subspan(8, 2));
  }
  return lowest == kNoTtl ? 0 : lowest;
}

// A TTL with the highest bit set counts as 0 (RFC 2181 section 8).
uint32_t Sane(int64_t ttl) { return ttl < 0 || ttl > INT32_MAX ? 0 : static_cast<uint32_t>(ttl); }

template <typename Record, typename Parse>
std::optional<AddressRecords> Read(std::span<const uint8_t> message, Endpoint::Family family,
                                   Parse parse) {
  auto records = std::make_unique<std::array<Record, kMostRecords>>();
  int count = kMostRecords;
  const int status = parse(message.data(), SizeOf(message), nullptr, records->data(), &count);
  AddressRecords found;
  if (status == ARES_ENODATA) return found;
  if (status != ARES_SUCCESS) return std::nullopt;
  found.ttl_s = count == 0 ? 0 : kNoTtl;
  for (int i = 0; i < count; ++i) {
    const Record& record = (*records)[static_cast<size_t>(i)];
    Endpoint endpoint{.family = family};
    static_assert(sizeof record == sizeof(ares_addrttl) || sizeof record == sizeof(ares_addr6ttl));
    std::memcpy(endpoint.ip.data(), &record, family == Endpoint::Family::kV4 ? 4 : 16);
    found.addresses.push_back(endpoint);
    found.ttl_s = std::min(found.ttl_s, Sane(record.ttl));
  }
  return found;
}

}  // namespace

std::optional<AddressRecords> ReadAddresses(std::span<const uint8_t> message,
                                            Endpoint::Family family) {
  if (family == Endpoint::Family::kV4) {
    return Read<ares_addrttl>(message, family, ares_parse_a_reply);
  }
  return Read<ares_addr6ttl>(message, family, ares_parse_aaaa_reply);
}

std::optional<SrvRecords> ReadSrv(std::span<const uint8_t> message) {
  ares_srv_reply* first = nullptr;
  const int status = ares_parse_srv_reply(message.data(), SizeOf(message), &first);
  const std::unique_ptr<ares_srv_reply, void (*)(void*)> owned(first, ares_free_data);
  SrvRecords found;
  if (status == ARES_ENODATA) return found;
  if (status != ARES_SUCCESS) return std::nullopt;
  for (const ares_srv_reply* record = first; record != nullptr; record = record->next) {
    found.records.push_back({.target = record->host,
                             .priority = record->priority,
                             .weight = record->weight,
                             .port = record->port});
  }
  std::ranges::sort(found.records, {}, [](const SrvRecord& record) {
    return std::tuple(record.priority, UINT16_MAX - record.weight, record.target, record.port);
  });
  found.ttl_s = Sane(LowestTtl(message));
  return found;
}

uint32_t WeightOfRecord(uint16_t weight, size_t addresses) {
  const uint32_t all = weight == 0 ? 1 : weight * kWeightUnit;
  return std::max(all / static_cast<uint32_t>(std::max<size_t>(addresses, 1)), 1u);
}

}  // namespace starling
