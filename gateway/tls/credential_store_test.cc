// Tests lists of sources, sharing between loads, and stapled OCSP responses.
#include "gateway/tls/credential_store.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gateway/tls/credential.h"
#include "gateway/tls/credential_testing.h"
#include "gateway/tls/test_client.h"
#include "gateway/tls/test_ocsp.h"
#include "gateway/tls/test_server.h"
#include "gateway/tls/tls_context.h"

namespace starling {
namespace {

using Ocsp = CertificateInfo::Ocsp;
using StoreTest = CredentialFolderTest;

TEST_F(StoreTest, LoadsWhatItCanAndNamesTheRest) {
  const TestCertificate a = MakeTestCertificate(), b = MakeTestCertificate();
  const CertificateSource sources[] = {
      {.pem = Put("b.pem", b.cert + b.key)},
      {.cert = Put("bad.crt", "junk"), .key = Put("bad.key", a.key)},
      {.cert = Put("a.crt", a.cert), .key = Put("a.key", a.key)},
      {.cert = Path("a.crt"), .key = Path("a.key")},  // again
      {.cert = Put("copy.crt", a.cert),
       .key = Path("a.key")},  // the same certificate in another file
  };
  const CertificateSet set = store_.LoadAll(sources, 2);
  EXPECT_EQ(Files(set, folder_), (std::vector<std::string>{"b.pem", "a.crt"}));
  ASSERT_EQ(set.errors.size(), 1u);
  EXPECT_EQ(set.errors[0].find(Path("bad.crt") + ": "), 0u);
  ASSERT_EQ(set.notes.size(), 2u);
  EXPECT_EQ(set.notes[1],
            Path("copy.crt") + ": skipped: " + Path("a.crt") + " holds the same certificate");
}

TEST_F(StoreTest, ExpiredOnesKeepNobodyFromStarting) {
  const TestCertificate old = MakeTestCertificate({.not_before = -20, .not_after = -10});
  const CertificateSource source = Put(old);
  const CertificateSet set = store_.LoadAll({&source, 1}, 1);
  EXPECT_TRUE(set.errors.empty());
  ASSERT_EQ(set.credentials.size(), 1u);
  EXPECT_TRUE(Holds(Info(*set.credentials[0]).warnings, "clients will reject it"));
}

TEST_F(StoreTest, MoreThanTheLimit) {
  std::vector<CertificateSource> sources;
  for (int i = 0; i < 4; i++) {
    const TestCertificate made = MakeTestCertificate();
    sources.push_back({.pem = Put(std::to_string(i) + ".pem", made.cert + made.key)});
  }
  EXPECT_TRUE(store_.LoadAll(sources, 4).errors.empty());
  const CertificateSet set = store_.LoadAll(sources, 2);
  EXPECT_EQ(set.credentials.size(), 2u);
  ASSERT_EQ(set.errors.size(), 1u);
  EXPECT_EQ(set.errors[0].find(Path("2.pem") + ": too many certificates: the limit is 2"), 0u);
}

TEST_F(StoreTest, ParsesEachContentOnce) {
  const TestCertificate made = MakeTestCertificate();
  const CertificateSource files = Put(made);
  const auto first = store_.Load(files);
  const auto second = store_.Load(files);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
  // With or without a warning, both share the parsed material.
  const auto readable = store_.Load(Put(made, 0644));
  ASSERT_TRUE(readable.ok());
  EXPECT_NE(readable->get(), first->get());
  EXPECT_EQ((*readable)->material, (*first)->material);
  // Renewed content gives another credential.
  const auto renewed = store_.Load(Put(MakeTestCertificate()));
  ASSERT_TRUE(renewed.ok());
  EXPECT_NE((*renewed)->material, (*first)->material);
}

TEST_F(StoreTest, DoesNotGrow) {
  for (int i = 0; i < 2'000; i++) {
    const TestCertificate made = MakeTestCertificate();
    ASSERT_TRUE(store_.LoadPem({"a.crt", "a.key"}, made.cert, made.key).ok());
    ASSERT_LE(store_.size(), 200u);
  }
  // The store does not remember failures.
  const size_t before = store_.size();
  EXPECT_FALSE(store_.LoadPem({"a.crt", "a.key"}, "junk", "junk").ok());
  EXPECT_EQ(store_.size(), before);
}

TEST_F(StoreTest, PathsToWatch) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(PathsOf({.cert = "/a.d/b.crt", .key = "/c"}),
            (Paths{"/a.d/b.crt.ocsp", "/a.d/b.ocsp", "/a.d/b.crt", "/c"}));
  EXPECT_EQ(PathsOf({.cert = "/a.d/b", .key = "/c"}), (Paths{"/a.d/b.ocsp", "/a.d/b", "/c"}));
  EXPECT_EQ(PathsOf({.cert = "/b", .key = "/c", .ocsp = "/d"}), (Paths{"/d", "/b", "/c"}));
  EXPECT_EQ(PathsOf({.pem = "/a.pem"}), (Paths{"/a.pem.ocsp", "/a.pem"}));
  EXPECT_EQ(PathsOf({.folder = "/a"}), (Paths{"/a"}));
}

class OcspTest : public StoreTest {
 protected:
  absl::StatusOr<std::shared_ptr<const Credential>> Load(const std::string& ocsp) {
    return store_.Load({Put("a.crt", chain_.certs[0] + chain_.certs[1]), Put("a.key", chain_.key),
                        ocsp.empty() ? "" : Put("given", ocsp)});
  }
  std::string Make(const TestOcspOptions& options = {}) const {
    return MakeTestOcsp(chain_.certs[0], chain_.certs[1], options);
  }

  TestChain chain_ = MakeTestChain(1);
};

TEST_F(OcspTest, IsSentOnlyWhileItIsGood) {
  const struct {
    TestOcspOptions options;
    Ocsp expected;
    std::string warning;
  } rows[] = {
      {{}, Ocsp::kGood, ""},
      {{.next_update = 0}, Ocsp::kGood, ""},
      {{.this_update = 200}, Ocsp::kGood, ""},  // the responder's clock is a little ahead
      {{.this_update = -20, .next_update = -10}, Ocsp::kStale, "expired 20"},
      {{.this_update = -8 * 86'400, .next_update = 0}, Ocsp::kStale, "expired 20"},
      {{.this_update = 86'400}, Ocsp::kStale, "is not valid before 20"},
      {{.status = TestOcspOptions::Status::kRevoked}, Ocsp::kRevoked, "IS REVOKED since 20"},
      {{.status = TestOcspOptions::Status::kUnknown}, Ocsp::kNone, "does not know"},
  };
  for (const auto& row : rows) {
    const auto loaded = Load(Make(row.options));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const CertificateInfo& info = Info(**loaded);
    EXPECT_EQ(info.ocsp, row.expected) << row.warning;
    EXPECT_EQ(info.ocsp_next_update == 0, row.options.next_update == 0);
    EXPECT_EQ((*loaded)->ocsp_digest != Sha256{}, row.expected == Ocsp::kGood);
    ASSERT_EQ(info.warnings.size(), row.warning.empty() ? 0u : 1u);
    if (row.warning.empty()) continue;
    EXPECT_EQ(info.warnings[0].find(Path("given") + ": "), 0u) << info.warnings[0];
    EXPECT_NE(info.warnings[0].find(row.warning), std::string::npos) << info.warnings[0];
  }
}

TEST_F(OcspTest, ReachesTheClient) {
  for (const uint16_t version : {0x0303, 0x0304}) {
    for (const bool good : {true, false}) {
      const std::string response = Make({.this_update = -20, .next_update = good ? 3600 : -10});
      const auto loaded = Load(response);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      const auto context = TlsContext::Create(
          {.certificates = MakeCredentialIndex({*loaded}), .tickets = MakeTicketKeys()});
      ASSERT_TRUE(context.ok()) << context.status();
      TestClientOptions options;
      options.min_version = options.max_version = version;
      TestClient client(options);
      TestServer server(**context);
      ASSERT_TRUE(Exchange(client, server)) << client.error();
      EXPECT_EQ(client.ocsp_response(), good ? response : "");
    }
  }
}

TEST_F(OcspTest, BadFilesAreErrors) {
  const struct {
    std::string content, text;
  } rows[] = {
      {"junk", "not an OCSP response"},
      {Make({.wrong_serial = true}), "another certificate"},
      {std::string((64 << 10) + 1, 'x'), "has 65537 octets; at most 65536 are allowed"},
  };
  for (const auto& row : rows) {
    for (const bool beside : {false, true}) {
      if (beside) Put("a.crt.ocsp", row.content);
      const auto loaded = Load(beside ? "" : row.content);
      ASSERT_FALSE(loaded.ok());
      const std::string message(loaded.status().message());
      EXPECT_EQ(message.find(Path(beside ? "a.crt.ocsp" : "given") + ": "), 0u) << message;
      EXPECT_NE(message.find(row.text), std::string::npos) << message;
    }
  }
  const auto missing = store_.Load({Path("a.crt"), Path("a.key"), Path("none")});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().message().find(Path("none") + ": "), 0u);
}

TEST_F(OcspTest, IsFoundBesideTheCertificate) {
  for (const std::string name : {"a.crt.ocsp", "a.ocsp"}) {
    Put(name, Make());
    auto loaded = Load("");
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(Info(**loaded).ocsp, Ocsp::kGood) << name;
    std::filesystem::remove(Path(name));
    EXPECT_EQ(Info(**Load("")).ocsp, Ocsp::kNone) << name;
  }
  Put("b.pem.ocsp", Make());
  const auto bundle =
      store_.Load({.pem = Put("b.pem", chain_.certs[0] + chain_.certs[1] + chain_.key)});
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(Info(**bundle).ocsp, Ocsp::kGood);
}

TEST_F(OcspTest, RenewedOneMakesANewCredentialOfTheSameKey) {
  const auto none = Load(""), first = Load(Make()), same = Load(Make()),
             renewed = Load(Make({.next_update = 4 * 86'400}));
  ASSERT_TRUE(none.ok() && first.ok() && same.ok() && renewed.ok());
  EXPECT_NE(*none, *first);
  EXPECT_NE(*first, *renewed);
  EXPECT_NE((*first)->ssl.get(), (*renewed)->ssl.get());
  EXPECT_EQ((*none)->material, (*renewed)->material);
  EXPECT_EQ((*none)->digest, (*renewed)->digest);
}

TEST_F(OcspTest, TellsWhenDatesChangeTheSet) {
  const CertificateSource source = {.cert = Path("a.crt"), .key = Path("a.key")};
  const auto reload_at = [&] { return store_.LoadAll({&source, 1}, 1).reload_at; };
  ASSERT_TRUE(Load("").ok());
  EXPECT_EQ(reload_at(), Info(**Load("")).not_after + 1);
  Put("a.ocsp", Make());
  EXPECT_EQ(reload_at(), Info(**Load("")).ocsp_next_update);
  Put("a.ocsp", Make({.this_update = -20, .next_update = -10}));
  EXPECT_EQ(reload_at(), Info(**Load("")).not_after + 1);
  chain_ = MakeTestChain(1, {.not_before = 100});
  std::filesystem::remove(Path("a.ocsp"));
  ASSERT_TRUE(Load("").ok());
  EXPECT_EQ(reload_at(), Info(**Load("")).not_before);
  chain_ = MakeTestChain(1, {.not_after = -100});
  ASSERT_TRUE(Load("").ok());
  EXPECT_EQ(reload_at(), 0);
}

TEST_F(OcspTest, StaleOnesAreLeftOutOfWhatIsLoaded) {
  const auto good = Load(Make());
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(WithoutStaleResponse(*good), *good);
  EXPECT_EQ(NextDate(**good), Info(**good).ocsp_next_update);
  auto late = std::make_shared<Credential>();
  late->material = (*good)->material;
  late->info = (*good)->info;
  late->ocsp = (*good)->ocsp;
  late->ocsp_until = 1;
  const auto left = WithoutStaleResponse(late);
  EXPECT_EQ(Info(*left).ocsp, Ocsp::kStale);
  EXPECT_TRUE(left->ocsp.empty());
  EXPECT_NE(left->ssl, nullptr);
  ASSERT_EQ(Info(*left).warnings.size(), 1u);
  EXPECT_EQ(Info(*left).warnings[0].find(Path("a.crt") + ": "), 0u);
  EXPECT_EQ(NextDate(*left), Info(*left).not_after + 1);
}

TEST_F(OcspTest, MustStaple) {
  chain_ = MakeTestChain(1, {.must_staple = true});
  const auto without = Load("");
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.status().message().find(Path("a.crt") + ": "), 0u);
  EXPECT_NE(without.status().message().find("must-staple"), std::string::npos);
  const auto good = Load(Make());
  ASSERT_TRUE(good.ok());
  EXPECT_TRUE(Info(**good).must_staple);
  EXPECT_TRUE(Info(**good).warnings.empty());
  const auto stale = Load(Make({.this_update = -20, .next_update = -10}));
  ASSERT_TRUE(stale.ok());
  EXPECT_EQ(Info(**stale).ocsp, Ocsp::kStale);
  ASSERT_EQ(Info(**stale).warnings.size(), 1u);
  EXPECT_NE(Info(**stale).warnings[0].find("the certificate requires one"), std::string::npos);
}

}  // namespace
}  // namespace starling
