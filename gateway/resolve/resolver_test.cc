#include "gateway/resolve/resolver.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "gateway/io/socket_address.h"
#include "gateway/resolve/dns_testing.h"
#include "gtest/gtest.h"

namespace starling {
namespace {

// Answers by UDP. A question that `answer` has nothing for gets no answer.
class DnsServer {
 public:
  using Answers = std::function<Octets(const std::string& name, uint16_t type)>;

  explicit DnsServer(Answers answers) : answers_(std::move(answers)) {
    fd_ = socket(AF_INET, SOCK_DGRAM, 0);
    const SocketAddress any = SocketAddress::Parse("127.0.0.1:0").value();
    EXPECT_EQ(bind(fd_, any.get(), any.length()), 0);
    thread_ = std::thread([this] { Run(); });
  }
  ~DnsServer() {
    stop_ = true;
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  std::string address() const { return LocalAddress(fd_).ToString(); }
  int asked() const { return asked_; }

 private:
  void Run() {
    uint8_t question[512];
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    ssize_t size = 0;
    while ((size = recvfrom(fd_, question, sizeof question, 0, reinterpret_cast<sockaddr*>(&from),
                            &length)) > 12 &&
           !stop_) {
      ++asked_;
      std::string name;
      size_t at = 12;
      while (question[at] != 0) {
        if (!name.empty()) name += ".";
        name.append(reinterpret_cast<char*>(question) + at + 1, question[at]);
        at += question[at] + 1u;
      }
      Octets answer =
          answers_(name, static_cast<uint16_t>(question[at + 1] << 8 | question[at + 2]));
      if (answer.empty()) continue;
      answer[0] = question[0];
      answer[1] = question[1];
      sendto(fd_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }

  const Answers answers_;
  int fd_ = -1;
  std::atomic<bool> stop_{false};
  std::atomic<int> asked_{0};
  std::thread thread_;
};

Octets No(const std::string& name, uint16_t type) { return Message(type, name, 3).octets(); }
Octets Fails(const std::string& name, uint16_t type) { return Message(type, name, 2).octets(); }
Octets Empty(const std::string& name, uint16_t type) { return Message(type, name).octets(); }
Octets One(const std::string& name, uint8_t last) {
  return Message(kA, name).Add(name, kA, 60, {10, 0, 0, last}).octets();
}

std::string Text(const std::vector<FoundAddress>& addresses) {
  std::string text;
  for (const FoundAddress& one : addresses) {
    text += ToString(Endpoint{.family = one.family, .port = one.port, .ip = one.ip}) + " ";
  }
  return text;
}

class ResolverTest : public ::testing::Test {
 protected:
  void Serve(DnsServer::Answers answers) {
    server_ = std::make_unique<DnsServer>(std::move(answers));
    options_.lookup.servers = server_->address();
  }
  // A file of its own, so that the machine's domains do not matter.
  void ResolvConf(const std::string& text) {
    options_.lookup.resolv_conf = ::testing::TempDir() + "/resolv.conf";
    std::ofstream(options_.lookup.resolv_conf, std::ios::trunc) << text;
  }
  void SetUp() override { ResolvConf("domain .\n"); }

  // What the first look-up of each name finds.
  std::map<NameQuery, Resolver::News> Look(const std::vector<NameQuery>& names) {
    Resolver resolver;
    resolver.Use(options_, names);
    resolver.AwaitAll(MonotonicNow() + std::chrono::minutes(1));
    std::map<NameQuery, Resolver::News> found;
    for (Resolver::News& news : resolver.Take()) found.emplace(news.query, std::move(news));
    return found;
  }
  Resolver::News LookUp(const NameQuery& query) { return Look({query})[query]; }
  // One look-up by itself.
  Answer Once(const NameQuery& query, const std::vector<FoundAddress>& known) {
    Lookup lookup(query, options_.lookup, known, Lookup::Clock::now());
    while (!lookup.over()) {
      std::vector<pollfd> polled;
      lookup.AddTo(polled);
      poll(polled.data(), polled.size(), 20);
      lookup.Turn(polled.data(), polled.size(), Lookup::Clock::now());
    }
    return lookup.answer();
  }

  std::unique_ptr<DnsServer> server_;
  ResolverOptions options_;
};

TEST_F(ResolverTest, FindsAddressesOfBothFamilies) {
  const Octets six = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  Serve([&](const std::string& name, uint16_t type) {
    if (name != "a.example") return No(name, type);
    return type == kAaaa ? Message(type, name).Add(name, kAaaa, 60, six).octets() : One(name, 3);
  });
  const Resolver::News news = LookUp({.name = "a.example", .port = 25, .srv = false});
  EXPECT_EQ(Text(news.addresses), "10.0.0.3:25 [fd00::7]:25 ");
  EXPECT_FALSE(news.trouble);
  EXPECT_GT(news.good_at, 0);
}

TEST_F(ResolverTest, SaysWhyThereIsNone) {
  options_.lookup.timeout_ms = 300;
  Serve([](const std::string& name, uint16_t type) {
    if (name == "none.example") return No(name, type);
    if (name == "empty.example") return Empty(name, type);
    if (name == "ill.example") return Fails(name, type);
    return Octets{};
  });
  const std::pair<const char*, LookupResult> wanted[] = {
      {"none.example", LookupResult::kNoName},
      {"empty.example", LookupResult::kNoAddress},
      {"ill.example", LookupResult::kFailure},
      {"mute.example", LookupResult::kTimeout}};
  std::vector<NameQuery> names;
  for (const auto& [name, result] : wanted)
    names.push_back({.name = name, .port = 25, .srv = false});
  auto found = Look(names);
  for (const auto& [name, result] : wanted) {
    const Resolver::News& news = found[{.name = name, .port = 25, .srv = false}];
    EXPECT_EQ(news.result, result) << name;
    EXPECT_TRUE(news.trouble);
    EXPECT_GE(news.counts[static_cast<size_t>(result)], 1u);
    EXPECT_TRUE(news.addresses.empty());
  }
}

TEST_F(ResolverTest, SearchesAsResolvConfSays) {
  ResolvConf("search one.example two.example\noptions ndots:2\n");
  std::vector<std::string> asked;
  Serve([&](const std::string& name, uint16_t type) {
    if (type == kA) asked.push_back(name);
    return name == "a.b.two.example" && type == kA ? One(name, 4) : No(name, type);
  });
  EXPECT_EQ(Text(LookUp({.name = "a.b", .port = 25, .srv = false}).addresses), "10.0.0.4:25 ");
  EXPECT_EQ(asked, (std::vector<std::string>{"a.b.one.example", "a.b.two.example"}));
}

TEST_F(ResolverTest, ReadsTheHostsFile) {
  Serve([](const std::string& name, uint16_t type) { return No(name, type); });
  const Resolver::News news = LookUp({.name = "localhost", .port = 25, .srv = false});
  EXPECT_NE(Text(news.addresses).find("127.0.0.1:25"), std::string::npos);
  EXPECT_EQ(server_->asked(), 0);
}

TEST_F(ResolverTest, TakesServersFromSrvRecords) {
  Serve([](const std::string& name, uint16_t type) {
    if (name == "_imap._tcp.example" && type == kSrv) {
      return Message(type, name)
          .Add(name, kSrv, 60, Srv(20, 1, 1430, "c.example"))
          .Add(name, kSrv, 60, Srv(10, 3, 143, "a.example"))
          .Add(name, kSrv, 60, Srv(10, 0, 144, "b.example"))
          .octets();
    }
    if (name == "_no._tcp.example" && type == kSrv) {
      return Message(type, name).Add(name, kSrv, 60, Srv(0, 0, 0, "")).octets();
    }
    if (name.size() == 9 && type == kA) return One(name, static_cast<uint8_t>(name[0] - 'a'));
    return Empty(name, type);
  });
  const auto news = LookUp({.name = "_imap._tcp.example", .port = 0, .srv = true});
  EXPECT_EQ(Text(news.addresses), "10.0.0.0:143 10.0.0.1:144 10.0.0.2:1430 ");
  ASSERT_EQ(news.addresses.size(), 3u);
  EXPECT_EQ(news.addresses[0].weight, 300u);
  EXPECT_EQ(news.addresses[1].weight, 1u);
  EXPECT_EQ(news.addresses[2].priority, 20u);
  EXPECT_EQ(LookUp({.name = "_no._tcp.example", .port = 0, .srv = true}).result,
            LookupResult::kNoAddress)
      << "there is no such service";
}

TEST_F(ResolverTest, AFamilyThatCannotBeAskedForStaysAsItWas) {
  options_.lookup.timeout_ms = 300;
  Serve([](const std::string& name, uint16_t type) {
    return type == kA ? One(name, 5) : Fails(name, type);
  });
  const NameQuery query{.name = "a.example", .port = 25, .srv = false};
  EXPECT_EQ(Text(Once(query, {}).addresses), "10.0.0.5:25 ");
  FoundAddress six{.family = Endpoint::Family::kV6, .port = 25};
  six.ip[15] = 9;
  FoundAddress four{.family = Endpoint::Family::kV4, .port = 25};
  EXPECT_EQ(Text(Once(query, {four, six}).addresses), "10.0.0.5:25 [::9]:25 ");
}

// Otherwise a name in another domain would take its place for a while.
TEST_F(ResolverTest, AFailureDoesNotLeadToTheNextDomain) {
  ResolvConf("search one.example two.example\n");
  Serve([](const std::string& name, uint16_t type) {
    if (name == "a.two.example" && type == kA) return One(name, 6);
    return name == "a.one.example" ? Fails(name, type) : No(name, type);
  });
  const NameQuery query{.name = "a", .port = 25, .srv = false};
  EXPECT_EQ(Once(query, {}).result, LookupResult::kAnswer) << "better than nothing";
  EXPECT_EQ(Once(query, {{.family = Endpoint::Family::kV4, .port = 25}}).result,
            LookupResult::kFailure);
}

TEST_F(ResolverTest, LooksNamesUpAgainAndForgetsOthers) {
  std::atomic<int> last{1};
  options_.times.min_ms = 100;
  options_.times.max_ms = 100;
  Serve([&](const std::string& name, uint16_t type) {
    return type == kA ? One(name, static_cast<uint8_t>(last.load())) : Empty(name, type);
  });
  const NameQuery query{.name = "a.example", .port = 25, .srv = false};
  Resolver resolver;
  resolver.Use(options_, {query});
  const auto until = [&](const std::string& wanted) {
    std::string seen;
    const MonoTime end = MonotonicNow() + std::chrono::minutes(1);
    while (seen != wanted && MonotonicNow() < end) {
      pollfd polled{.fd = resolver.fd(), .events = POLLIN, .revents = 0};
      poll(&polled, 1, 100);
      for (const Resolver::News& news : resolver.Take()) seen = Text(news.addresses);
    }
    return seen;
  };
  EXPECT_EQ(until("10.0.0.1:25 "), "10.0.0.1:25 ");
  last = 2;
  EXPECT_EQ(until("10.0.0.2:25 "), "10.0.0.2:25 ");
  resolver.Use(options_, {});
  resolver.AwaitAll(MonotonicNow() + std::chrono::minutes(1));
  resolver.Take();
  EXPECT_TRUE(resolver.Take().empty());
}

}  // namespace
}  // namespace starling
