#include "tests/sim/identities.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "gateway/tls/credential_store.h"
#include "gateway/tls/test_authority.h"
#include "gateway/tls/test_certificates.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {
namespace {

template <typename T>
T Must(absl::StatusOr<T> made) {
  if (made.ok()) return *std::move(made);
  std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
  abort();
}

std::shared_ptr<const Credential> Load(const std::string& cert, const std::string& key) {
  CredentialStore store;
  return Must(store.LoadPem({"sim.crt", "sim.key"}, cert, key));
}

std::shared_ptr<const TrustStore> Trust(const std::string& authority) {
  const char* const folder = getenv("TEST_TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/simXXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) abort();
  close(file);
  std::ofstream(path, std::ios::trunc) << authority;
  const std::shared_ptr<const TrustStore> trust = Must(TrustStore::Load(path, "", 1));
  remove(path.c_str());
  return trust;
}

Identities Make() {
  const World world(0);  // for the clock
  Identities made;
  const TestCertificate own = MakeTestCertificate();
  made.gateway = Load(own.cert, own.key);
  const TestAuthority believed("Authority");
  const TestAuthority unknown("Somebody");
  TestLeafOptions options;
  options.hosts = {kServerName};
  const TestLeaf server = believed.Issue(options);
  const TestLeaf stranger = unknown.Issue(options);
  made.server = Load(server.cert, server.key);
  made.stranger = Load(stranger.cert, stranger.key);
  made.trust = Trust(believed.cert());
  return made;
}

}  // namespace

const Identities& TheIdentities() {
  static const Identities identities = [] {
    Identities made;
    RAND_reset_for_fuzzing();
    std::thread([&] { made = Make(); }).join();
    return made;
  }();
  return identities;
}

}  // namespace starling::sim
