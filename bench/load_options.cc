#include "bench/load_options.h"

#include <charconv>
#include <span>
#include <utility>

namespace starling::bench {

namespace {

constexpr double kMostNumber = 1e9;
constexpr size_t kMaxOctets = 16'384;  // one record
constexpr size_t kMaxAlpn = 255;       // octets of a name

template <typename Value>
using Word = std::pair<std::string_view, Value>;

constexpr Word<uint16_t> kVersions[] = {{"1.2", TLS1_2_VERSION}, {"1.3", TLS1_3_VERSION}};
constexpr Word<uint16_t> kGroups[] = {{"x25519", SSL_GROUP_X25519},
                                      {"mlkem768", SSL_GROUP_X25519_MLKEM768},
                                      {"p256", SSL_GROUP_SECP256R1}};
constexpr Word<Key> kKeys[] = {{"any", Key::kAny}, {"ec", Key::kEc}, {"rsa", Key::kRsa}};
constexpr Word<Speak> kSpeak[] = {{"echo", Speak::kEcho}, {"smtp", Speak::kSmtp},
                                  {"imap", Speak::kImap}, {"pop3", Speak::kPop3},
                                  {"lmtp", Speak::kLmtp}, {"managesieve", Speak::kManageSieve},
                                  {"sink", Speak::kSink}, {"source", Speak::kSource}};
constexpr Word<Direction> kDirections[] = {
    {"up", Direction::kUp}, {"down", Direction::kDown}, {"both", Direction::kBoth}};
constexpr Word<std::string_view> kStartTls[] = {{"smtp", "smtp"},
                                                {"imap", "imap"},
                                                {"pop3", "pop3"},
                                                {"lmtp", "lmtp"},
                                                {"managesieve", "managesieve"}};
constexpr Word<std::string_view> kMailProtocols[] = {{"smtp", "smtp"}, {"imap", "imap"}};

template <typename Value, typename Field>
bool Choose(std::span<const Word<Value>> words, std::string_view text, Field& field) {
  for (const auto& [word, value] : words) {
    if (word != text) continue;
    field = value;
    return true;
  }
  return false;
}

bool Number(std::string_view text, double& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0 &&
         number <= kMostNumber;
}

bool Pids(std::string_view text, std::vector<pid_t>& pids) {
  pids.clear();
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    double number = 0;
    if (!Number(one, number) || number < 1) return false;
    pids.push_back(static_cast<pid_t>(number));
    text.remove_prefix(one.size() + (one.size() < text.size()));
  }
  return !pids.empty();
}

// Options whose value is a number.
bool SetNumber(LoadOptions& options, std::string_view name, double number) {
  const auto count = static_cast<size_t>(number);
  const auto set = [](auto& field, auto value, bool valid) {
    if (valid) field = value;
    return valid;
  };
  if (name == "--connections") return set(options.connections, count, count > 0);
  if (name == "--octets") return set(options.octets, count, count > 0 && count <= kMaxOctets);
  if (name == "--idle") return set(options.idle, count, true);
  if (name == "--sessions") return set(options.sessions, count, count > 0);
  if (name == "--source") return set(options.source, count, count > 0 && count < 255);
  if (name == "--churn") return set(options.churn, count, true);
  if (name == "--seconds") return set(options.seconds, number, number > 0);
  if (name == "--warm-up") return set(options.warm_up, number, true);
  if (name == "--rate") return set(options.rate, number, true);
  if (name == "--resume") return set(options.resume, count != 0, true);
  if (name == "--proxy") return set(options.proxy, count != 0, true);
  if (name == "--backend-pid") return set(options.backend_pid, static_cast<pid_t>(count), true);
  return false;
}

}  // namespace

bool SetOption(LoadOptions& options, std::string_view name, std::string_view value) {
  if (name == "--tls") return Choose<uint16_t>(kVersions, value, options.tls);
  if (name == "--group") return Choose<uint16_t>(kGroups, value, options.group);
  if (name == "--key") return Choose<Key>(kKeys, value, options.key);
  if (name == "--speak") return Choose<Speak>(kSpeak, value, options.speak);
  if (name == "--direction") return Choose<Direction>(kDirections, value, options.direction);
  if (name == "--starttls") return Choose<std::string_view>(kStartTls, value, options.starttls);
  if (name == "--protocol") {
    return Choose<std::string_view>(kMailProtocols, value, options.protocol);
  }
  if (name == "--alpn") {
    options.alpn = value;
    return !value.empty() && value.size() <= kMaxAlpn;
  }
  if (name == "--pid") return Pids(value, options.pids);
  double number = 0;
  return Number(value, number) && SetNumber(options, name, number);
}

}  // namespace starling::bench
