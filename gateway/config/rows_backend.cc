#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

constexpr std::string_view kVerify[] = {"none", "required"};
std::string NoTls() { return "none: plaintext"; }
std::string NoName() { return "none"; }
std::string SystemCas() { return "the authorities that the system trusts"; }
constexpr std::string_view kVersions[] = {"none", "v1", "v2"};

struct Tlv {
  std::string_view name;
  bool ProxyTlvs::* wanted;
};
constexpr Tlv kTlvs[] = {{"alpn", &ProxyTlvs::alpn},
                         {"authority", &ProxyTlvs::authority},
                         {"crc32c", &ProxyTlvs::crc32c},
                         {"unique_id", &ProxyTlvs::unique_id},
                         {"ssl", &ProxyTlvs::ssl}};
constexpr std::string_view kTlvNames[] = {kTlvs[0].name, kTlvs[1].name, kTlvs[2].name,
                                          kTlvs[3].name, kTlvs[4].name};
static_assert(std::size(kTlvs) == std::size(kTlvNames));

std::vector<Complaint> SetTlvs(const OptionTarget& target, const OptionValue& value) {
  for (const Tlv& tlv : kTlvs) target.backend->tlvs.*tlv.wanted = false;
  for (const std::string& name : value.list) {
    for (const Tlv& tlv : kTlvs) {
      if (name == tlv.name) target.backend->tlvs.*tlv.wanted = true;
    }
  }
  return {};
}

std::optional<OptionValue> GetTlvs(const OptionTarget& target) {
  OptionValue value;
  for (const Tlv& tlv : kTlvs) {
    if (target.backend->tlvs.*tlv.wanted) value.list.emplace_back(tlv.name);
  }
  return value;
}

constexpr Option kRows[] = {
    {.section = Section::kBackend,
     .key = "name",
     .type = OptionType::kText,
     .unit = "a name",
     .required = true,
     .doc = "The name by which listeners, logs and metrics refer to the backend.",
     .sample = "postfix",
     .set = SetText<&BackendConfig::name, CheckName>,
     .get = GetText<&BackendConfig::name>},
    {.section = Section::kBackend,
     .key = "servers",
     .type = OptionType::kTextList,
     .unit = "IP addresses and ports or Unix sockets",
     .min = 1,
     .max = kMaxServers,
     .required = true,
     .doc = "Unix sockets, or addresses and ports. The gateway uses them in turn. If it cannot "
            "reach one, it tries the next.",
     .sample = "[\"unix:/var/spool/postfix/public/gw-mx\"]",
     .set = SetList<&BackendConfig::servers, ParseServer>,
     .get = GetList<&BackendConfig::servers>},
    {.section = Section::kBackend,
     .key = "proxy_protocol",
     .type = OptionType::kChoice,
     .choices = kVersions,
     .doc = "The PROXY header by which the gateway tells the server the client's address; v2 also "
            "tells the TLS parameters. Without it, the server takes every client for a local one, "
            "which many servers trust. The default is none, because a server that does not expect "
            "the header mistakes it for a command.",
     .sample = "v2",
     .set = SetNumber<&BackendConfig::proxy>,
     .get = GetNumber<&BackendConfig::proxy>},
    {.section = Section::kBackend,
     .key = "proxy_tlvs",
     .type = OptionType::kTextList,
     .choices = kTlvNames,
     .min = 0,
     .max = std::size(kTlvs),
     .doc = "What a v2 header carries besides the addresses. authority is the name that the client "
            "asked for (SNI). ssl tells that the client uses TLS, which Dovecot needs to accept "
            "log-ins, and whose client certificate was verified.",
     .set = SetTlvs,
     .get = GetTlvs},
    {.section = Section::kBackend,
     .key = "allow_plaintext_network",
     .type = OptionType::kFlag,
     .doc = "Allows servers that are neither Unix sockets nor on loopback. The gateway then sends "
            "the clients' decrypted data over the network in plaintext. Allow that only if the "
            "network itself is encrypted or guarded.",
     .set = SetNumber<&BackendConfig::allow_plaintext_network>,
     .get = GetNumber<&BackendConfig::allow_plaintext_network>},
    {.section = Section::kBackend,
     .key = "tls",
     .type = OptionType::kSection,
     .child = Section::kBackendTls,
     .doc = "TLS towards servers on other machines, at their ports for implicit TLS. The PROXY "
            "header comes first, then TLS.",
     .off = true,
     .default_text = NoTls},
    {.section = Section::kBackendTls,
     .key = "verify",
     .type = OptionType::kChoice,
     .choices = kVerify,
     .doc = "required: the server's certificate must name `name` and come from `ca`. none: anybody "
            "can pose as the server and receive the clients' passwords.",
     .set = SetNumber<&BackendTls::verify>,
     .get = GetNumber<&BackendTls::verify>},
    {.section = Section::kBackendTls,
     .key = "ca",
     .type = OptionType::kText,
     .unit = "the name of a file or folder",
     .doc = "The authorities that issue the servers' certificates, PEM.",
     .sample = "/etc/starling/servers.pem",
     .default_text = SystemCas,
     .set = SetText<&BackendTls::ca, CheckPath>,
     .get = GetText<&BackendTls::ca>},
    {.section = Section::kBackendTls,
     .key = "name",
     .type = OptionType::kText,
     .unit = "a host name or address",
     .doc = "The name that the servers' certificates must have, and that the gateway asks for by "
            "SNI. Required unless verify is none.",
     .sample = "imap.example.org",
     .default_text = NoName,
     .set = SetText<&BackendTls::name, CheckHostname>,
     .get = GetText<&BackendTls::name>},
    {.section = Section::kBackendTls,
     .key = "client_certificate",
     .type = OptionType::kSection,
     .child = Section::kBackendCertificate,
     .doc = "The gateway's own certificate, for servers that ask for one."},
    {.section = Section::kBackendCertificate,
     .key = "cert",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .required = true,
     .doc = "File with the certificate, followed by its chain, PEM.",
     .sample = "/etc/starling/gateway.crt",
     .set = SetText<&BackendTls::cert, CheckPath>,
     .get = GetText<&BackendTls::cert>},
    {.section = Section::kBackendCertificate,
     .key = "key",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .required = true,
     .doc = "File with the private key of that certificate, PEM.",
     .sample = "/etc/starling/gateway.key",
     .set = SetText<&BackendTls::key, CheckPath>,
     .get = GetText<&BackendTls::key>},
};

}  // namespace

std::span<const Option> BackendRows() { return kRows; }

}  // namespace starling
