#include "gateway/resolve/dns_message.h"

#include <string>
#include <string_view>

#include "gateway/resolve/dns_testing.h"
#include "gateway/resolve/search_list.h"
#include "gtest/gtest.h"

namespace starling {
namespace {

std::string Text(const std::optional<AddressRecords>& records) {
  if (!records) return "nonsense";
  std::string text = std::to_string(records->ttl_s) + "s";
  for (const Endpoint& address : records->addresses) text += " " + IpToString(address);
  return text;
}

TEST(DnsMessage, Addresses) {
  const Octets six = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  EXPECT_EQ(Text(ReadAddresses(Message(kA)
                                   .Add("x.example", kA, 60, {192, 0, 2, 1})
                                   .Add("x.example", kA, 50, {192, 0, 2, 2})
                                   .octets(),
                               Endpoint::Family::kV4)),
            "50s 192.0.2.1 192.0.2.2");
  EXPECT_EQ(Text(ReadAddresses(Message(kAaaa).Add("x.example", kAaaa, 9, six).octets(),
                               Endpoint::Family::kV6)),
            "9s 2001:db8::7");
}

TEST(DnsMessage, AnAliasEndsAsSoonAsItsFirstRecord) {
  EXPECT_EQ(Text(ReadAddresses(Message(kA)
                                   .Add("x.example", kCname, 5, Alias("y.example"))
                                   .Add("y.example", kA, 60, {192, 0, 2, 1})
                                   .octets(),
                               Endpoint::Family::kV4)),
            "5s 192.0.2.1");
}

TEST(DnsMessage, AliasesThatLeadNowhereOrInACircle) {
  EXPECT_EQ(Text(ReadAddresses(Message(kA).Add("x.example", kCname, 5, Alias("y.example")).octets(),
                               Endpoint::Family::kV4)),
            "0s");
  EXPECT_EQ(Text(ReadAddresses(Message(kA)
                                   .Add("x.example", kCname, 5, Alias("y.example"))
                                   .Add("y.example", kCname, 5, Alias("x.example"))
                                   .octets(),
                               Endpoint::Family::kV4)),
            "0s");
}

TEST(DnsMessage, ServersInTheirOrder) {
  const auto found = ReadSrv(Message(kSrv)
                                 .Add("x.example", kSrv, 90, Srv(20, 5, 143, "c.example"))
                                 .Add("x.example", kSrv, 30, Srv(10, 1, 144, "a.example"))
                                 .Add("x.example", kSrv, 60, Srv(10, 9, 145, "b.example"))
                                 .octets());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ttl_s, 30u);
  const std::vector<SrvRecord> wanted = {
      {"b.example", 10, 9, 145}, {"a.example", 10, 1, 144}, {"c.example", 20, 5, 143}};
  EXPECT_EQ(found->records, wanted);
}

// Whatever comes: no octet beyond the end is read (the address sanitizer watches), and nothing is
// made up.
TEST(DnsMessage, CutOffAnywhere) {
  const Octets whole = Message(kSrv)
                           .Add("x.example", kSrv, 90, Srv(20, 5, 143, "c.example"))
                           .Add("x.example", kA, 60, {192, 0, 2, 1})
                           .octets();
  for (size_t size = 0; size < whole.size(); ++size) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(ReadSrv(cut) && !ReadSrv(cut)->records.empty()) << size;
    const auto addresses = ReadAddresses(cut, Endpoint::Family::kV4);
    EXPECT_FALSE(addresses && !addresses->addresses.empty()) << size;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    Octets broken = whole;
    broken[at] = 0xff;
    (void)ReadSrv(broken);
    (void)ReadAddresses(broken, Endpoint::Family::kV4);
    (void)ReadAddresses(broken, Endpoint::Family::kV6);
  }
}

TEST(DnsMessage, WeightsOfRecords) {
  EXPECT_EQ(WeightOfRecord(0, 1), 1u);
  EXPECT_EQ(WeightOfRecord(1, 1), 100u);
  EXPECT_EQ(WeightOfRecord(3, 2), 150u) << "two addresses of a target share";
  EXPECT_EQ(WeightOfRecord(1, 1'000), 1u);
  EXPECT_EQ(WeightOfRecord(UINT16_MAX, 1), 6'553'500u);
}

TEST(SearchList, AsResolvConfSays) {
  using Names = std::vector<std::string>;
  const Names domains = {"mail.svc.cluster.local", "svc.cluster.local"};
  EXPECT_EQ(SearchList("dovecot", domains, 5),
            (Names{"dovecot.mail.svc.cluster.local", "dovecot.svc.cluster.local", "dovecot"}));
  EXPECT_EQ(SearchList("a.b.example", domains, 2),
            (Names{"a.b.example", "a.b.example.mail.svc.cluster.local",
                   "a.b.example.svc.cluster.local"}));
  EXPECT_EQ(SearchList("a.example.", domains, 5), (Names{"a.example."}));
  EXPECT_EQ(SearchList("a", {}, 1), (Names{"a"}));
}

}  // namespace
}  // namespace starling
