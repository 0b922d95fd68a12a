#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"

namespace starling {
namespace {

using namespace access;

constexpr std::string_view kVerify[] = {"none", "required"};
std::string NoTls() { return "none: plaintext"; }
std::string NoName() { return "the name of each server"; }
std::string SystemCas() { return "the authorities that the system trusts"; }
std::string NoNetworks() { return "none"; }
std::string AnySource() { return "the kernel's choice"; }
constexpr std::string_view kBalances[] = {"round_robin", "least_sessions", "source_hash"};
constexpr std::string_view kStates[] = {"active", "drain"};
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

std::vector<Complaint> SetAddress(const OptionTarget& target, const OptionValue& value) {
  absl::StatusOr<ServerConfig> server = ParseServer(value.text);
  if (!server.ok()) return {{.expected = std::string(server.status().message())}};
  target.server->address = server->address;
  target.server->by_name = std::move(server->by_name);
  return {};
}

std::optional<OptionValue> GetAddress(const OptionTarget& target) {
  OptionValue value;
  value.text = target.server->ToString();
  return value;
}

// `true` is what it was before it became a list.
std::vector<Complaint> SetPlaintextNetworks(const OptionTarget& target, const OptionValue& value) {
  OptionValue networks = value;
  if (value.list == std::vector<std::string>{"true"}) networks.list = {"0.0.0.0/0", "::/0"};
  if (value.list == std::vector<std::string>{"false"}) networks.list = {};
  return SetList<&BackendConfig::plaintext_networks, ParseRange>(target, networks);
}

std::optional<OptionValue> GetSources(const OptionTarget& target) {
  OptionValue value;
  for (const Endpoint& source : target.backend->sources) value.list.push_back(IpToString(source));
  if (value.list.empty()) return std::nullopt;
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
     .type = OptionType::kSectionList,
     .unit = "IP addresses and ports, Unix sockets or names",
     .min = 1,
     .max = kMaxServers,
     .required = true,
     .child = Section::kServer,
     .text_key = "address",
     .doc =
         "Each is an address or a name, or a map with one. If one cannot be reached, closes before "
         "its greeting or says nothing, the gateway tries the next. A refusal goes to the "
         "client instead: it may concern that client alone."},
    {.section = Section::kServer,
     .key = "address",
     .type = OptionType::kText,
     .unit = "an IP address and a port, a Unix socket, a host name and a port, or srv: and a name",
     .required = true,
     .doc = "Where the server listens. Each address of a host name (A and AAAA records), as of a "
            "headless Service of Kubernetes (dovecot.mail.svc.cluster.local:10143), is a server of "
            "its own: with its own health, sessions and metrics, and with the weight and the other "
            "options of this map. srv:_imap._tcp.example.org takes the servers, their ports, "
            "priorities and weights from SRV records; what this map says is added to the priority "
            "and multiplied with the weight. A backend has at most 64 addresses at a time. See "
            "resolve.",
     .sample = "unix:/var/spool/postfix/public/gw-mx",
     .set = SetAddress,
     .get = GetAddress},
    {.section = Section::kServer,
     .key = "weight",
     .type = OptionType::kNumber,
     .unit = "",
     .min = 1,
     .max = 1'000,
     .doc = "Its share of the sessions, beside the weights of the others.",
     .set = SetNumber<&ServerConfig::weight>,
     .get = GetNumber<&ServerConfig::weight>},
    {.section = Section::kServer,
     .key = "priority",
     .type = OptionType::kNumber,
     .unit = "",
     .min = 0,
     .max = 65'535,
     .doc =
         "Sessions go to the servers of the lowest number that has one up. A backup has a higher "
         "number. It serves sessions as well while those before it are up but slow (see "
         "connect_try). Where all servers of the lowest number have max_sessions, sessions wait "
         "for "
         "one of them: they do not go to the backup.",
     .set = SetNumber<&ServerConfig::priority>,
     .get = GetNumber<&ServerConfig::priority>},
    {.section = Section::kServer,
     .key = "state",
     .type = OptionType::kChoice,
     .choices = kStates,
     .doc = "drain: it gets no new session, and those that it has go on. To take a server out of "
            "service, set this, reload, and wait until starling_backend_sessions is 0.",
     .set = SetNumber<&ServerConfig::drains>,
     .get = GetNumber<&ServerConfig::drains>},
    {.section = Section::kServer,
     .key = "max_sessions",
     .type = OptionType::kNumber,
     .unit = "sessions of all workers",
     .min = 0,
     .max = 1'000'000,
     .doc = "0: no limit. Where all servers have as many sessions as they may have, further ones "
            "wait in the backend's queue. A server that forks for each session is better off "
            "with a queue here than with more processes than it has memory for. Established "
            "sessions keep their places. So an address may have three times as many places as are "
            "free: 75 of 100, if nobody else has any. Its further sessions wait in the queue, and "
            "the free places are for other addresses. Sources with a role other than client may "
            "take all places.",
     .set = SetNumber<&ServerConfig::max_sessions>,
     .get = GetNumber<&ServerConfig::max_sessions>},
    {.section = Section::kBackend,
     .key = "balance",
     .type = OptionType::kChoice,
     .choices = kBalances,
     .doc = "round_robin: in turn, by weight. least_sessions: the server with the fewest sessions "
            "for its weight; better where sessions last for hours. source_hash: a client's "
            "address always goes to the same server, for those that keep an index or a cache of "
            "a user; a server that leaves or comes moves its own share of the clients only.",
     .set = SetNumber<&BackendConfig::balance>,
     .get = GetNumber<&BackendConfig::balance>},
    {.section = Section::kBackend,
     .key = "slow_start",
     .type = OptionType::kDuration,
     .min = 0,
     .max = 3'600'000,
     .doc = "A server that comes up again has a tenth of its share at first, and all of it after "
            "this time: its caches are cold. 0s: all at once.",
     .set = SetNumber<&BackendConfig::slow_start_ms>,
     .get = GetNumber<&BackendConfig::slow_start_ms>},
    {.section = Section::kBackend,
     .key = "queue",
     .type = OptionType::kNumber,
     .unit = "sessions of all workers",
     .min = 0,
     .max = 100'000,
     .doc = "How many sessions may wait, each as long as the limit connect, until a server with "
            "max_sessions has a place. The clients' addresses take turns. In a full queue the "
            "address with most sessions gives its latest up to one that has fewer. Other sessions "
            "are told that the service is not available.",
     .set = SetNumber<&BackendConfig::queue>,
     .get = GetNumber<&BackendConfig::queue>},
    {.section = Section::kBackend,
     .key = "source",
     .type = OptionType::kTextList,
     .unit = "IP addresses of this machine",
     .min = 0,
     .max = 64,
     .doc = "From where the gateway connects, in turn; servers of the other address family and "
            "Unix sockets are not concerned. One address has some 28,000 ports towards each "
            "server, and so many sessions at once. The default is the kernel's choice, as a rule "
            "127.0.0.1 towards loopback; servers that trust that one address do not know the "
            "others.",
     .sample = "[\"127.0.0.1\", \"127.0.0.2\"]",
     .off = true,
     .default_text = AnySource,
     .set = SetList<&BackendConfig::sources, ParseSource>,
     .get = GetSources},
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
     .type = OptionType::kTextList,
     .unit = "IP addresses or ranges",
     .min = 0,
     .max = kMaxPlaintextNetworks,
     .doc = "Allows servers in these networks, beside Unix sockets and loopback. The gateway then "
            "sends the clients' decrypted data over the network in plaintext. Allow that only if "
            "the network itself is encrypted or guarded. An address that a name resolves to is not "
            "used if it is elsewhere: otherwise a DNS server could have the clients' passwords "
            "sent anywhere. Not needed with tls.",
     .sample = "[10.96.0.0/12, \"fd00::/8\"]",
     .off = true,
     .default_text = NoNetworks,
     .set = SetPlaintextNetworks,
     .get = GetList<&BackendConfig::plaintext_networks>},
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
            "SNI. Servers given by name have that name unless another one stands here; those of "
            "srv:_imap._tcp.example.org have the name example.org, since whoever forges DNS "
            "answers chooses the targets of SRV records. Required if there are addresses, unless "
            "verify is none.",
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
