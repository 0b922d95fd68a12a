#include "protocols/registry.h"

#include <array>

#include "protocols/acap/acap.h"
#include "protocols/frames/greeting.h"
#include "protocols/ftp/ftp.h"
#include "protocols/http/http.h"
#include "protocols/imap/imap.h"
#include "protocols/irc/irc.h"
#include "protocols/ldap/ldap.h"
#include "protocols/managesieve/managesieve.h"
#include "protocols/nntp/nntp.h"
#include "protocols/pop3/pop3.h"
#include "protocols/postgresql/postgresql.h"
#include "protocols/smtp/smtp.h"
#include "protocols/telnet/telnet.h"
#include "protocols/xmpp/limits.h"
#include "protocols/xmpp/xmpp.h"

namespace starling {

namespace {

// Idle deadlines. SMTP's answer to the final dot may take 10 minutes (RFC 5321 4.5.3.2.6).
// IMAP and ManageSieve servers wait 30 minutes (RFC 3501 5.4, RFC 5804 1.2), POP3 servers
// 10 (RFC 1939 section 3). RFC 3977 3.1 demands three of NNTP servers; INN waits half an
// hour for readers and an hour for peers. The gateway waits one minute longer, so that the
// server decides.
constexpr uint32_t kSmtpIdle = 11 * 60;
constexpr uint32_t kImapIdle = 31 * 60;
constexpr uint32_t kPop3Idle = 11 * 60;
constexpr uint32_t kSieveIdle = 31 * 60;
constexpr uint32_t kNntpIdle = 61 * 60;
constexpr uint32_t kAcapIdle = 31 * 60;  // RFC 2244 section 2.4: half an hour

// RFC 5321 section 4.5.3.2.7: a server waits five minutes for the next command.
constexpr uint32_t kSmtpSilence = 5 * 60;

// IRC servers send a silent client a PING every two to five minutes.
constexpr uint32_t kIrcIdle = 11 * 60;

// No RFC sets a limit for LDAP, and slapd waits for ever. Clients keep pools of connections,
// and a replica that follows changes (RFC 4533) hears nothing while nothing changes. TCP
// itself sends its first keepalive after two hours (RFC 1122 4.2.3.6).
constexpr uint32_t kLdapIdle = 121 * 60;

// Servers wait five minutes (vsftpd) to ten (ProFTPD). A transfer has its own connection
// with its own idle time.
constexpr uint32_t kFtpIdle = 16 * 60;

// A statement may run for hours without an octet. PostgreSQL itself sets no limit.
constexpr uint32_t kPostgresqlIdle = 24 * 60 * 60;
// Apache and CUPS both wait five minutes.
constexpr uint32_t kHttpIdle = 6 * 60;

// RFC 6120 section 4.6.1 lets either side ask for signs of life. Phones sleep for a long
// time. So this is as long as for LDAP.
constexpr uint32_t kXmppIdle = 121 * 60;

// A terminal may be left open for a working day.
constexpr uint32_t kTelnetIdle = 24 * 60 * 60;

constexpr ProtocolRow kRows[] = {
    {.name = "smtp",
     .starttls_port = 25,
     .implicit_port = 465,
     .alpn = "smtp",
     .alpn_registered = false,
     .has_starttls = true,
     .opportunistic = true,
     .server_first = true,
     .idle_seconds = kSmtpIdle,
     .silence_seconds = kSmtpSilence,
     .before_relay_seconds = 2 * kSmtpSilence,
     .create = CreateSmtp,
     .refuse = RefuseSmtp,
     .create_probe = CreateSmtpProbe,
     .read_greeting = ReadSmtpGreeting,
     .server = {.log_in = ServerTraits::LogIn::kUnderRequire, .trusts_local_clients = true},
     .public_port =
         {25,
          "turns away mail of servers without TLS; RFC 3207 section 4 forbids it for a public MX"}},
    {.name = "lmtp",
     .starttls_port = 24,
     .implicit_port = 0,
     .alpn = "lmtp",
     .alpn_registered = false,
     .has_starttls = true,
     .opportunistic = true,
     .server_first = true,
     .idle_seconds = kSmtpIdle,
     .silence_seconds = kSmtpSilence,
     .before_relay_seconds = 2 * kSmtpSilence,
     .create = CreateLmtp,
     .refuse = RefuseSmtp,
     .create_probe = CreateLmtpProbe,
     .read_greeting = ReadSmtpGreeting,
     .server = {.anyone_can = "put mail into every mailbox"}},
    {.name = "imap",
     .starttls_port = 143,
     .implicit_port = 993,
     .alpn = "imap",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = true,
     .server_first = true,
     .idle_seconds = kImapIdle,
     .create = CreateImap,
     .refuse = RefuseImap,
     .create_probe = nullptr,
     .read_greeting = ReadImapGreeting,
     .server = {.log_in = ServerTraits::LogIn::kAlways}},
    {.name = "pop3",
     .starttls_port = 110,
     .implicit_port = 995,
     .alpn = "pop3",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = true,
     .server_first = true,
     .idle_seconds = kPop3Idle,
     .create = CreatePop3,
     .refuse = RefusePop3,
     .create_probe = nullptr,
     .read_greeting = ReadPop3Greeting,
     .server = {.log_in = ServerTraits::LogIn::kAlways}},
    {.name = "managesieve",
     .starttls_port = 4190,
     .implicit_port = 0,
     .alpn = "managesieve",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = true,
     .server_first = true,
     .idle_seconds = kSieveIdle,
     .create = CreateManageSieve,
     .refuse = RefuseManageSieve,
     .create_probe = nullptr,
     .read_greeting = ReadSieveGreeting,
     .server = {.log_in = ServerTraits::LogIn::kAlways}},
    {.name = "nntp",
     .starttls_port = 119,
     .implicit_port = 563,
     .alpn = "nntp",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = true,
     .idle_seconds = kNntpIdle,
     .create = CreateNntp,
     .refuse = RefuseNntp,
     .create_probe = CreateNntpProbe,
     .read_greeting = ReadNntpGreeting,
     .probe_under_require = true},
    {.name = "xmpp-client",
     .starttls_port = 5222,
     .implicit_port = 5223,
     .alpn = "xmpp-client",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = false,
     .idle_seconds = kXmppIdle,
     .create = CreateXmppClient,
     .refuse = RefuseXmppClient,
     .create_probe = nullptr,
     .first_words = SayXmppClientFirstWords,
     .storage_size = kXmppSize,
     .space_after_upgrade = kXmppMaxSpaceAfterUpgrade},
    {.name = "xmpp-server",
     .starttls_port = 5269,
     .implicit_port = 5270,
     .alpn = "xmpp-server",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = false,
     .idle_seconds = kXmppIdle,
     .create = CreateXmppServer,
     .refuse = RefuseXmppServer,
     .create_probe = nullptr,
     .first_words = SayXmppServerFirstWords,
     .storage_size = kXmppSize,
     .space_after_upgrade = kXmppMaxSpaceAfterUpgrade},
    {.name = "acap",
     .starttls_port = 674,
     .implicit_port = 0,
     .alpn = "acap",
     .alpn_registered = false,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = true,
     .idle_seconds = kAcapIdle,
     .create = CreateAcap,
     .refuse = RefuseAcap,
     .create_probe = nullptr,
     .read_greeting = ReadAcapGreeting},
    {.name = "irc",
     .starttls_port = 6667,
     .implicit_port = 6697,
     .alpn = "irc",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = false,
     .idle_seconds = kIrcIdle,
     .create = CreateIrc,
     .refuse = RefuseIrc,
     .create_probe = nullptr,
     .first_words = SayIrcFirstWords,
     .read_answer = ReadIrcAnswer,
     .speaks_inside = true,
     .server = {.without_identity =
                    "is not told who the clients are, and takes them for local ones; set "
                    "proxy_protocol: v2, or webirc_password_file in the listener's section irc"}},
    {.name = "ldap",
     .starttls_port = 389,
     .implicit_port = 636,
     .alpn = "ldap",
     .alpn_registered = false,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = false,
     .idle_seconds = kLdapIdle,
     .create = CreateLdap,
     .refuse = RefuseLdap,
     .create_probe = nullptr,
     .first_words = SayLdapFirstWords,
     .server = {.log_in = ServerTraits::LogIn::kAlways,
                .by_unix_socket =
                    "slapd takes every client for the gateway's own user, who may log in by SASL "
                    "EXTERNAL without a password; use a TCP listener (pldap://127.0.0.1:PORT)"}},
    {.name = "ftp",
     .starttls_port = 21,
     .implicit_port = 990,
     .alpn = "ftp",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = true,
     .idle_seconds = kFtpIdle,
     .create = CreateFtp,
     .refuse = RefuseFtp,
     .create_probe = nullptr,
     .read_greeting = ReadFtpGreeting,
     .second_alpn = "ftp-data",
     .speaks_inside = true,
     .data_channels = FtpDataChannels},
    {.name = "postgresql",
     .starttls_port = 5432,
     .implicit_port = 0,
     .alpn = "postgresql",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = false,
     .idle_seconds = kPostgresqlIdle,
     .create = CreatePostgresql,
     .refuse = RefusePostgresql,
     .create_probe = nullptr,
     .first_words = SayPostgresqlFirstWords,
     .direct_tls = true,
     .direct_tls_needs_alpn = true,
     .server = {.knows_no_proxy = "PostgreSQL",
                .by_unix_socket = "PostgreSQL takes every client for a local one, whom peer and "
                                  "trust let in without a password; use a TCP address"}},
    {.name = "http",
     .starttls_port = 80,
     .implicit_port = 443,
     .alpn = "http/1.1",
     .alpn_registered = true,
     .has_starttls = true,
     .opportunistic = true,
     .server_first = false,
     .idle_seconds = kHttpIdle,
     .create = CreateHttp,
     .refuse = RefuseHttp,
     .create_probe = nullptr,
     .first_words = SayHttpFirstWords,
     .direct_tls = true,
     .server = {.by_local_address =
                    "CUPS takes every client for a local one, who may make printers without a "
                    "password, and Apache lets them in by \"Require local\"; use another address "
                    "of this machine for CUPS, and proxy_protocol: v2 for Apache"}},
    {.name = "telnet",
     .starttls_port = 23,
     .implicit_port = 992,
     .alpn = "telnet",
     .alpn_registered = false,
     .has_starttls = true,
     .opportunistic = false,
     .server_first = true,
     .idle_seconds = kTelnetIdle,
     .create = CreateTelnet,
     .refuse = RefuseTelnet,
     .create_probe = nullptr},
    {.name = "tcp",
     .starttls_port = 0,
     .implicit_port = 0,
     .alpn = "",
     .alpn_registered = false,
     .has_starttls = false,
     .opportunistic = false,
     .server_first = false,
     .idle_seconds = 0,
     .create = nullptr,
     .refuse = nullptr,
     .create_probe = nullptr,
     .client_may_only_write = true},
};

}  // namespace

std::span<const ProtocolRow> AllProtocols() { return kRows; }

const ProtocolRow* FindProtocol(std::string_view name) {
  for (const ProtocolRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace starling
