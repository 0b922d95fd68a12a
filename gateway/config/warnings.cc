#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/rules.h"
#include "protocols/registry.h"

namespace starling {
namespace {

// Whether clients log in: to mailboxes, filters and directories, and to submit mail.
bool TakesLogIns(const ListenerConfig& listener) {
  switch (listener.protocol->server.log_in) {
    case ServerTraits::LogIn::kNever:
      return false;
    case ServerTraits::LogIn::kUnderRequire:
      return listener.dialogue.policy == Policy::kRequire;
    case ServerTraits::LogIn::kAlways:
      return true;
  }
  return false;
}

void WarnOfProxy(const ReadMarks& marks, std::string_view key, const ListenerConfig& listener,
                 const BackendConfig& backend, Report& report) {
  const ServerTraits& server = listener.protocol->server;
  const std::string who = "backend " + backend.name + " gets ";
  if (backend.proxy != ProxyOut::kNone && !server.knows_no_proxy.empty()) {
    report.Warn(marks.MarkOf(key), who + "PROXY headers, which " +
                                       std::string(server.knows_no_proxy) +
                                       " does not know; set proxy_protocol: none");
  } else if (backend.proxy == ProxyOut::kNone &&
             (server.trusts_local_clients || TakesLogIns(listener))) {
    report.Warn(marks.MarkOf(key),
                who +
                    "no PROXY header: it takes every client for a local one, and many servers let "
                    "local clients relay or log in in plaintext; set proxy_protocol: v2");
  } else if (TakesLogIns(listener) && backend.proxy == ProxyOut::kV1) {
    report.Warn(marks.MarkOf(key), who +
                                       "a PROXY header of version 1, which does not say that the "
                                       "client uses TLS; set proxy_protocol: v2");
  } else if (TakesLogIns(listener) && backend.proxy == ProxyOut::kV2 && !backend.tlvs.ssl) {
    report.Warn(
        marks.MarkOf(key),
        who + "PROXY headers without the ssl TLV, which do not say that the client uses TLS");
  }
}

void WarnOfPlaintext(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  const DialogueOptions& dialogue = listener.dialogue;
  const bool starttls = listener.tls == TlsMode::kStartTls;
  const bool opportunistic = dialogue.policy == Policy::kOpportunistic;
  if (dialogue.plaintext_auth) {
    report.Warn(marks.MarkOf("plaintext_auth"),
                opportunistic
                    ? "plaintext_auth: allow lets passwords cross the network in plaintext"
                    : "plaintext_auth: allow has no effect without policy opportunistic");
  }
  if (dialogue.accept_bare_lf) {
    report.Warn(marks.MarkOf("accept_bare_lf"),
                starttls ? "accept_bare_lf makes line ends ambiguous, which attacks on mail exploit"
                         : "accept_bare_lf has no effect with implicit TLS");
  }
  if (marks.Has("pregreet") && listener.greeting_delay_ms == 0) {
    report.Warn(marks.MarkOf("pregreet"), "pregreet has no effect without greeting_delay");
  }
  if (listener.tls_options.cbc_ciphers && listener.tls_options.min_version == MinVersion::kTls13) {
    report.Warn(marks.Child("smtp")->MarkOf("cbc_ciphers"),
                "cbc_ciphers has no effect with min_version TLSv1.3");
  }
  // Servers of mailboxes read the SSL TLV.
  if (opportunistic && listener.plaintext_backend < 0 && !TakesLogIns(listener)) {
    report.Warn(marks.at,
                "listener " + listener.name +
                    " has no plaintext_backend: its backend cannot tell whether a client used TLS");
  }
}

void WarnOfBalancer(YamlMark mark, const Cidr& from, Report& report) {
  if (from.bits != 0) return;
  report.Warn(mark, from.ToString() + " lets anybody pose as any client by a PROXY header");
}

void WarnOfBalancers(const ReadMarks& marks, const std::vector<Cidr>& from, Report& report) {
  for (size_t i = 0; i < from.size(); ++i) WarnOfBalancer(marks.MarkOf("from", i), from[i], report);
}

void WarnOfProxyIn(const ReadMarks& marks, Report& report) {
  const auto from = marks.values.find("from");
  if (from == marks.values.end()) return;
  const auto warn = [&](const YamlNode& node) {
    // Roles may stand among the networks.
    const absl::StatusOr<Cidr> network = Cidr::Parse(node.text);
    if (network.ok()) WarnOfBalancer(node.mark, *network, report);
  };
  if (from->second->children.empty()) warn(*from->second);
  for (const auto& child : from->second->children) warn(*child);
}

// `balancers`: other roles that a listener takes for that of load balancers.
void WarnOfSources(const std::vector<ReadMarks>& marks, const std::vector<SourceRow>& rows,
                   const SourceRoles& balancers, Report& report) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const SourceRole role = rows[i].role;
    if (role == SourceRole::kBalancer || balancers.Has(role)) {
      WarnOfBalancers(marks[i], rows[i].from, report);
    }
  }
}

void WarnOfExposure(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  const ProtocolRow& protocol = *listener.protocol;
  if (IsPublic(listener) && listener.dialogue.policy == Policy::kRequire) {
    report.Warn(marks.MarkOf("policy"), "policy require on port " +
                                            std::to_string(protocol.public_port.number) + " " +
                                            std::string(protocol.public_port.why_not_require));
  }
  for (size_t i = 0; i < listener.bind.size(); ++i) {
    if (protocol.server.anyone_can.empty() || listener.bind[i].is_local()) continue;
    report.Warn(marks.MarkOf("bind", i), std::string(protocol.name) +
                                             " has no log-in: anybody who reaches " +
                                             listener.bind[i].ToString() + " can " +
                                             std::string(protocol.server.anyone_can));
  }
  if (const ReadMarks* proxy = marks.Child("proxy_protocol")) WarnOfProxyIn(*proxy, report);
  WarnOfSources(marks.List("sources"), listener.sources, listener.proxy_in.roles, report);
}

// What a port is usually for, such as "pop3 with tls: starttls". Empty if that is the
// listener's own protocol, or if the port is not known.
std::string UsualFor(uint16_t port, const ListenerConfig& listener) {
  std::string usual;
  for (const ProtocolRow& row : AllProtocols()) {
    const bool by_starttls = row.starttls_port == port;
    if (port == 0 || (!by_starttls && row.implicit_port != port)) continue;
    const bool starttls = listener.tls == TlsMode::kStartTls;
    // A protocol with one port alone has it for both.
    const uint16_t own = starttls ? row.starttls_port : row.implicit_port;
    if (&row == listener.protocol && (own == port || own == 0)) return "";
    if (usual.empty()) {
      usual = std::string(row.name) + " with tls: " + (by_starttls ? "starttls" : "implicit");
    }
  }
  return usual;
}

// Clients that know the port by its number speak another protocol.
void WarnOfPorts(const ReadMarks& marks, const ListenerConfig& listener, Report& report) {
  if (listener.protocol->create == nullptr) return;  // tcp is anything
  for (size_t i = 0; i < listener.bind.size(); ++i) {
    const uint16_t port = listener.bind[i].endpoint().port;
    const std::string usual = UsualFor(port, listener);
    if (usual.empty()) continue;
    report.Warn(marks.MarkOf("bind", i),
                "port " + std::to_string(port) + " is usually for " + usual);
  }
}

// Such servers identify a client on a Unix socket by its process, and give rights to some
// or all processes. Behind the gateway, every client is the gateway's process.
void WarnOfPeerCredentials(const ReadMarks& marks, const ListenerConfig& listener,
                           const BackendConfig& backend, Report& report) {
  const std::string_view what = listener.protocol->server.by_unix_socket;
  for (const ServerConfig& server : backend.servers) {
    if (what.empty() || !server.address.is_unix()) continue;
    report.Warn(marks.MarkOf("backend"),
                "at " + server.address.ToString() + " " + std::string(what));
  }
}

void WarnOfData(const ReadMarks& marks, const ListenerConfig& listener,
                const BackendConfig& backend, Report& report) {
  if (!listener.protocol->data_channels) return;
  if (const ReadMarks* proxy = marks.Child("proxy_protocol")) {
    report.Warn(proxy->at,
                "a load balancer passes on FTP's control connections only; for data, clients would "
                "connect to its address, where nobody listens for them");
  }
  if (listener.ftp.lenient_close) {
    report.Warn(marks.Child("ftp")->MarkOf("data_close"),
                "data_close: lenient accepts an upload that was cut off: the server keeps a part "
                "of the file, and the client sees no error");
  }
  const bool unix = std::ranges::any_of(
      backend.servers, [](const ServerConfig& server) { return server.address.is_unix(); });
  if (backend.proxy == ProxyOut::kNone && !backend.tls.enabled && !unix) return;
  report.Warn(marks.MarkOf("backend"),
              "FTP's data connections need servers at TCP addresses, without a PROXY header and "
              "without tls; with backend " +
                  backend.name + " clients can transfer no files");
}

// Such servers trust clients of their own machine more, and take the gateway for one.
void WarnOfLocalClients(const ReadMarks& marks, const ListenerConfig& listener,
                        const BackendConfig& backend, Report& report) {
  const std::string_view what = listener.protocol->server.by_local_address;
  if (what.empty() || backend.proxy != ProxyOut::kNone) return;
  for (const ServerConfig& server : backend.servers) {
    if (!server.address.is_local()) continue;
    report.Warn(marks.MarkOf("backend"),
                "at " + server.address.ToString() + " " + std::string(what));
  }
}

// Bans, limits and operators identify a client by its address.
void WarnOfUnknownClients(const ReadMarks& marks, const ListenerConfig& listener,
                          const BackendConfig& backend, Report& report) {
  const std::string_view what = listener.protocol->server.without_identity;
  if (what.empty() || backend.proxy != ProxyOut::kNone) return;
  if (!listener.webirc_password_file.empty()) return;
  report.Warn(marks.MarkOf("backend"), "backend " + backend.name + " " + std::string(what));
}

// Of servers elsewhere, and of networks that hold more than servers.
void WarnOfPlaintextServers(const ReadMarks& marks, const BackendConfig& backend, Report& report) {
  if (backend.tls.enabled) return;
  for (size_t i = 0; i < backend.servers.size(); ++i) {
    const ServerConfig& server = backend.servers[i];
    const YamlMark at = marks.List("servers")[i].at;
    if (server.is_named() && backend.plaintext_networks.empty()) {
      report.Warn(at,
                  "without tls and allow_plaintext_network, the gateway uses the addresses of " +
                      server.ToString() + " only where they are on loopback");
    } else if (server.is_named() || !server.address.is_local()) {
      report.Warn(at, "the gateway sends the clients' decrypted data to " + server.ToString() +
                          " in plaintext over a network");
    }
  }
  for (const Cidr& network : backend.plaintext_networks) {
    if (network.bits != 0) continue;
    report.Warn(marks.MarkOf("allow_plaintext_network"),
                "allow_plaintext_network allows every network; list those of the servers, such as "
                "10.96.0.0/12");
    return;
  }
}

void WarnOfBackend(const ReadMarks& marks, const BackendConfig& backend, bool used,
                   Report& report) {
  WarnOfPlaintextServers(marks, backend, report);
  if (marks.Has("proxy_tlvs") && backend.proxy != ProxyOut::kV2) {
    report.Warn(marks.MarkOf("proxy_tlvs"), "proxy_tlvs has no effect without proxy_protocol: v2");
  }
  const ReadMarks* tls = marks.Child("tls");
  if (tls != nullptr && !backend.tls.verify) {
    report.Warn(tls->MarkOf("verify"),
                "verify: none lets anybody who poses as a server of backend " + backend.name +
                    " read and change what clients send");
  }
  if (!used) report.Warn(marks.at, "no listener uses backend " + backend.name);
}

}  // namespace

void CollectWarnings(const Draft& draft, Report& report) {
  const Config& config = draft.config;
  std::vector<bool> used(config.backends.size());
  const std::vector<ReadMarks>& listeners = draft.marks.List("listeners");
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const ListenerConfig& listener = config.listeners[i];
    WarnOfProxy(listeners[i], "backend", listener, config.backends[listener.backend], report);
    WarnOfPeerCredentials(listeners[i], listener, config.backends[listener.backend], report);
    WarnOfData(listeners[i], listener, config.backends[listener.backend], report);
    WarnOfLocalClients(listeners[i], listener, config.backends[listener.backend], report);
    WarnOfUnknownClients(listeners[i], listener, config.backends[listener.backend], report);
    used[listener.backend] = true;
    if (listener.plaintext_backend >= 0) {
      const auto plaintext = static_cast<size_t>(listener.plaintext_backend);
      WarnOfProxy(listeners[i], "plaintext_backend", listener, config.backends[plaintext], report);
      used[plaintext] = true;
    }
    WarnOfPlaintext(listeners[i], listener, report);
    WarnOfExposure(listeners[i], listener, report);
    WarnOfPorts(listeners[i], listener, report);
  }
  SourceRoles balancers;
  for (const ListenerConfig& listener : config.listeners) balancers.Add(listener.proxy_in.roles);
  WarnOfSources(draft.marks.List("sources"), config.sources, balancers, report);
  const std::vector<ReadMarks>& backends = draft.marks.List("backends");
  for (size_t i = 0; i < config.backends.size(); ++i) {
    WarnOfBackend(backends[i], config.backends[i], used[i], report);
  }
}

}  // namespace starling
