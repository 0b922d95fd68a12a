// Benchmarks of a protocol's dialogue before TLS: a session from the greeting to the end
// of the preamble with the backend after TLS. It makes and destroys the negotiator as the
// gateway does, and has nothing around it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"
#include "protocols/registry.h"

namespace starling {
namespace {

// The dialogue of both sides. The client waits for each answer, as real clients do.
struct Dialogue {
  const char* protocol;
  std::string_view client[2];  // the last one is the upgrade command
  std::string_view greeting;   // of the backend; the preamble after TLS consumes it
  Verdict end = Verdict::kRelay;
};

using namespace std::string_view_literals;

constexpr std::string_view kRootDse =
    "\x30\x39\x02\x01\x01\x63\x34\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0"
    "\x87\x0bobjectClass\x30\x14\x04\x12supportedExtension"sv;
constexpr std::string_view kLdapStartTls =
    "\x30\x1d\x02\x01\x02\x77\x18\x80\x16"
    "1.3.6.1.4.1.1466.20037"sv;

constexpr std::string_view kXmppStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

constexpr Dialogue kDialogues[] = {
    {.protocol = "smtp",
     .client = {"EHLO client.example.net\r\n", "STARTTLS\r\n"},
     .greeting = "220 mail.example.org ESMTP Postfix\r\n"},
    {.protocol = "lmtp",
     .client = {"LHLO client.example.net\r\n", "STARTTLS\r\n"},
     .greeting = "220 mail.example.org LMTP\r\n"},
    {.protocol = "imap",
     .client = {"a1 CAPABILITY\r\n", "a2 STARTTLS\r\n"},
     .greeting = "* OK [CAPABILITY IMAP4rev1 LOGIN-REFERRALS ID ENABLE IDLE AUTH=PLAIN] Dovecot "
                 "(Debian) ready.\r\n"},
    {.protocol = "pop3",
     .client = {"CAPA\r\n", "STLS\r\n"},
     .greeting = "+OK Dovecot (Debian) ready.\r\n"},
    {.protocol = "managesieve",
     .client = {"CAPABILITY\r\n", "STARTTLS\r\n"},
     .greeting =
         "\"IMPLEMENTATION\" \"Dovecot (Debian) Pigeonhole\"\r\n\"SIEVE\" \"fileinto reject "
         "envelope\"\r\n\"SASL\" \"PLAIN LOGIN\"\r\n\"VERSION\" \"1.0\"\r\nOK \"Dovecot "
         "ready.\"\r\n"},
    {.protocol = "nntp",
     .client = {"CAPABILITIES\r\n", "STARTTLS\r\n"},
     .greeting = "200 news.example.org InterNetNews NNRP server INN 2.7.1 ready (no posting)\r\n"},
    {.protocol = "xmpp-client",
     .client = {"<?xml version='1.0'?><stream:stream to='example.org' xmlns='jabber:client' "
                "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
                kXmppStartTls},
     .greeting = ""},
    {.protocol = "xmpp-server",
     .client = {"<?xml version='1.0'?><stream:stream xmlns:db='jabber:server:dialback' "
                "xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' "
                "from='example.net' to='example.org' version='1.0' xml:lang='en'>",
                kXmppStartTls},
     .greeting = ""},
    {.protocol = "acap",
     .client = {"a NOOP\r\n", "b STARTTLS\r\n"},
     .greeting = "* ACAP (IMPLEMENTATION \"ACAP server\") (SASL \"CRAM-MD5\")\r\n"},
    {.protocol = "ftp",
     .client = {"FEAT\r\n", "AUTH TLS\r\n"},
     .greeting = "220 ProFTPD Server (ftp.example.org) [127.0.0.1]\r\n",
     .end = Verdict::kReadInside},
    // A request without TLS would end the session, so the upgrade is the only request.
    {.protocol = "http",
     .client =
         {"OPTIONS * HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: TLS/1.2,TLS/1.1,TLS/1.0\r\n"
          "Host: print.example.org:631\r\nUser-Agent: CUPS/2.4.2\r\nContent-Length: 0\r\n\r\n",
          ""},
     .greeting = ""},
    {.protocol = "irc",
     .client = {"CAP LS 302\r\n", "STARTTLS\r\n"},
     .greeting = ":irc.example.org 001 demo :Welcome to the Example IRC Network demo!demo@x\r\n"},
    {.protocol = "telnet", .client = {"\xff\xfb\x2e", "\xff\xfa\x2e\x01\xff\xf0"}, .greeting = ""},
    {.protocol = "postgresql",
     .client = {"\0\0\0\x08\x04\xd2\x16\x30"sv, "\0\0\0\x08\x04\xd2\x16\x2f"sv},
     .greeting = ""},
    // A search of the root DSE, which many clients begin with; then StartTLS.
    {.protocol = "ldap", .client = {kRootDse, kLdapStartTls}, .greeting = ""},
};

class Player {
 public:
  Player(benchmark::State& state, const ProtocolRow& row, const DialogueOptions& options)
      : state_(state), negotiator_(row.create(storage_, options)) {}
  ~Player() { negotiator_->~Negotiator(); }
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  void Raise(EventKind kind, bool inside_tls) {
    Event event;
    event.kind = kind;
    event.inside_tls = inside_tls;
    Call([&](Output& out) { return negotiator_->OnEvent(event, out); });
  }
  // Feeds the octets of one side in pieces of `piece`. Unconsumed octets come again.
  void Client(std::string_view octets, size_t piece) {
    Feed(octets, piece, [&](ByteView in, Output& out) { return negotiator_->OnClient(in, out); });
  }
  void Backend(std::string_view octets, size_t piece) {
    Feed(octets, piece, [&](ByteView in, Output& out) { return negotiator_->OnBackend(in, out); });
  }
  void Expect(Verdict verdict, const char* where) {
    if (verdict_ != verdict) state_.SkipWithError(where);
  }

 private:
  template <typename Give>
  void Feed(std::string_view octets, size_t piece, Give give) {
    size_t given = 0;
    while (given < octets.size() && verdict_ != Verdict::kRelay && verdict_ != Verdict::kClose) {
      given = octets.size() - given > piece ? given + piece : octets.size();
      const Step step =
          Call([&](Output& out) { return give(AsBytes(octets.substr(0, given)), out); });
      octets.remove_prefix(step.consumed);
      given -= step.consumed;
    }
  }

  template <typename F>
  Step Call(F call) {
    Output out{Writer(to_client_), Writer(to_backend_)};
    const Step step = call(out);
    verdict_ = step.verdict;
    benchmark::DoNotOptimize(out.client.size());
    return step;
  }

  benchmark::State& state_;
  alignas(std::max_align_t) unsigned char storage_[kMaxNegotiatorSize];
  uint8_t to_client_[kMinOutputRoom];
  uint8_t to_backend_[kMinOutputRoom];
  Negotiator* negotiator_;
  Verdict verdict_ = Verdict::kContinue;
};

void StartTls(benchmark::State& state, const Dialogue& dialogue, size_t piece) {
  const ProtocolRow* row = FindProtocol(dialogue.protocol);
  DialogueOptions options;
  options.hostname = "mail.example.org";
  size_t octets = dialogue.greeting.size();
  for (const std::string_view line : dialogue.client) octets += line.size();
  for (auto _ : state) {
    Player player(state, *row, options);
    player.Raise(EventKind::kStart, false);
    for (const std::string_view line : dialogue.client) player.Client(line, piece);
    player.Expect(Verdict::kUpgrade, "no upgrade");
    player.Raise(EventKind::kUpgraded, true);
    player.Raise(EventKind::kLegUp, true);
    player.Backend(dialogue.greeting, piece);
    player.Expect(dialogue.end, "the preamble did not end");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(octets));
}

// A plaintext session with the backend: the log-in and the backend's replies.
struct LegDialogue {
  const char* protocol;
  std::string_view login;
  std::string_view greeting;
  std::string_view reply;
};

constexpr LegDialogue kLegDialogues[] = {
    {.protocol = "imap",
     .login = "a1 LOGIN demo@example.org correct-horse\r\n",
     .greeting = "* OK [CAPABILITY IMAP4rev1 ID ENABLE IDLE AUTH=PLAIN] Dovecot ready.\r\n",
     .reply = "a1 OK [CAPABILITY IMAP4rev1 ID ENABLE IDLE SORT THREAD=REFS] Logged in\r\n"},
    {.protocol = "pop3",
     .login = "AUTH PLAIN AGRlbW8AY29ycmVjdC1ob3JzZQ==\r\n",
     .greeting = "+OK Dovecot ready.\r\n",
     .reply = "+OK Logged in.\r\n"},
    {.protocol = "managesieve",
     .login = "AUTHENTICATE \"PLAIN\" \"AGRlbW8AY29ycmVjdC1ob3JzZQ==\"\r\n",
     .greeting = "\"IMPLEMENTATION\" \"Dovecot\"\r\n\"SASL\" \"PLAIN LOGIN\"\r\nOK \"ready.\"\r\n",
     .reply = "OK \"Logged in.\"\r\n"},
};

void PlaintextLogin(benchmark::State& state, const LegDialogue& dialogue, size_t piece) {
  const ProtocolRow* row = FindProtocol(dialogue.protocol);
  DialogueOptions options;
  options.hostname = "mail.example.org";
  options.policy = Policy::kOpportunistic;
  options.plaintext_auth = true;
  for (auto _ : state) {
    Player player(state, *row, options);
    player.Raise(EventKind::kStart, false);
    player.Client(dialogue.login, piece);
    player.Expect(Verdict::kOpenLeg, "no leg");
    player.Raise(EventKind::kLegUp, false);
    player.Backend(dialogue.greeting, piece);
    player.Client(dialogue.login, std::string_view::npos);
    player.Backend(dialogue.reply, piece);
    player.Expect(Verdict::kRelay, "no relay");
  }
  const size_t octets = dialogue.login.size() + dialogue.greeting.size() + dialogue.reply.size();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(octets));
}

void NoDialogue(benchmark::State& state) { state.SkipWithError("kDialogues has no row for it"); }

// Registers each benchmark twice: with whole lines, and octet by octet. A protocol that was
// forgotten fails, and so does bench_smoke_test.
[[maybe_unused]] const bool kRegistered = [] {
  for (const Dialogue& dialogue : kDialogues) {
    for (const size_t piece : {std::string_view::npos, size_t{1}}) {
      const std::string name =
          std::string("StartTls/") + dialogue.protocol + (piece == 1 ? "/octets" : "/lines");
      benchmark::RegisterBenchmark(name.c_str(), StartTls, dialogue, piece);
    }
  }
  for (const ProtocolRow& row : AllProtocols()) {
    if (row.create == nullptr) continue;
    const auto is_of_row = [&](const Dialogue& dialogue) { return dialogue.protocol == row.name; };
    if (std::any_of(std::begin(kDialogues), std::end(kDialogues), is_of_row)) continue;
    benchmark::RegisterBenchmark(("StartTls/" + std::string(row.name)).c_str(), NoDialogue);
  }
  for (const LegDialogue& dialogue : kLegDialogues) {
    for (const size_t piece : {std::string_view::npos, size_t{1}}) {
      const std::string name =
          std::string("PlaintextLogin/") + dialogue.protocol + (piece == 1 ? "/octets" : "/lines");
      benchmark::RegisterBenchmark(name.c_str(), PlaintextLogin, dialogue, piece);
    }
  }
  return true;
}();

}  // namespace
}  // namespace starling
