#include "gateway/tls/ocsp_response.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "gateway/io/clock.h"
#include "gateway/tls/certificate_file.h"
#include "gateway/tls/test_certificates.h"
#include "gateway/tls/test_ocsp.h"

namespace starling {
namespace {

using Status = OcspResponse::Status;

class OcspResponseTest : public testing::Test {
 protected:
  OcspResponseTest() : chain_(MakeTestChain(1)) {
    const auto parsed =
        ParseCertificate("a.crt", chain_.certs[0] + chain_.certs[1], "a.key", chain_.key);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    subject_ = (*parsed)->subject;
  }

  std::string Make(const TestOcspOptions& options = {}) const {
    return MakeTestOcsp(chain_.certs[0], chain_.certs[1], options);
  }
  absl::StatusOr<OcspResponse> Parse(const std::string& der) const {
    return ParseOcspResponse({reinterpret_cast<const uint8_t*>(der.data()), der.size()}, subject_);
  }

  TestChain chain_;
  OcspSubject subject_;
};

TEST_F(OcspResponseTest, ReadsWhatItSays) {
  const int64_t now = WallNow() / 1'000'000;
  const struct {
    TestOcspOptions options;
    Status status;
    bool next_update;
  } rows[] = {
      {{}, Status::kGood, true},
      {{.next_update = 0}, Status::kGood, false},
      {{.sha256 = true}, Status::kGood, true},
      {{.extensions = true}, Status::kGood, true},
      {{.others = 3}, Status::kGood, true},
      {{.status = TestOcspOptions::Status::kRevoked}, Status::kRevoked, true},
      {{.status = TestOcspOptions::Status::kUnknown}, Status::kUnknown, true},
  };
  for (const auto& row : rows) {
    const auto response = Parse(Make(row.options));
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, row.status);
    EXPECT_NEAR(response->this_update, now - 3600, 5);
    if (row.next_update) {
      EXPECT_NEAR(response->next_update, now + 3 * 86'400, 5);
    } else {
      EXPECT_EQ(response->next_update, 0);
    }
    if (row.status == Status::kRevoked) {
      EXPECT_NEAR(response->revoked_at, now - 3600, 5);
    } else {
      EXPECT_EQ(response->revoked_at, 0);
    }
  }
}

TEST_F(OcspResponseTest, ErrorsSayWhatIsWrong) {
  const struct {
    std::string der;
    std::string text;
  } rows[] = {
      {"", "not an OCSP response"},
      {"hello\n", "not an OCSP response"},
      {chain_.certs[0], "not an OCSP response"},
      {Make() + "x", "not an OCSP response"},
      {Make({.response_status = 3}), "try later"},
      {Make({.response_status = 6}), "status 6"},
      {Make({.basic = false}), "unknown type"},
      {Make({.wrong_serial = true}), "another certificate"},
      {Make({.wrong_issuer_name = true}), "another certificate"},
      {Make({.wrong_issuer_key = true}), "another certificate"},
  };
  for (const auto& row : rows) {
    const auto response = Parse(row.der);
    ASSERT_FALSE(response.ok()) << row.text;
    EXPECT_NE(response.status().message().find(row.text), std::string::npos) << response.status();
  }
}

// Without the issuer's certificate, the parser compares only the issuer's name, not its
// key.
TEST_F(OcspResponseTest, LeafAlone) {
  const auto parsed = ParseCertificate("a.crt", chain_.certs[0], "a.key", chain_.key);
  ASSERT_TRUE(parsed.ok());
  subject_ = (*parsed)->subject;
  EXPECT_TRUE(Parse(Make({.wrong_issuer_key = true})).ok());
  EXPECT_FALSE(Parse(Make({.wrong_issuer_name = true})).ok());
}

TEST_F(OcspResponseTest, CutAnywhere) {
  const std::string der = Make({.extensions = true, .others = 1});
  ASSERT_TRUE(Parse(der).ok());
  for (size_t size = 0; size < der.size(); size++) {
    EXPECT_FALSE(Parse(der.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace starling
