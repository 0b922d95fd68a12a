#include "tests/sim/script.h"

namespace starling::sim {
namespace {

// Every command that a client gives in plaintext contains this, so that a backend detects
// it where it does not belong.
std::string Marked(uint32_t id) { return "PLAIN-" + std::to_string(id); }

ScriptLine Greeting(std::string_view protocol) {
  if (protocol == "imap")
    return {.say = "", .replies = 1, .expect = "* OK", .tag = "*", .multi = false};
  if (protocol == "pop3")
    return {.say = "", .replies = 1, .expect = "+OK", .tag = "", .multi = false};
  if (protocol == "managesieve")
    return {.say = "", .replies = 1, .expect = "OK", .tag = "", .multi = false};
  return {.say = "", .replies = 1, .expect = "220", .tag = "", .multi = false};
}

ScriptLine Capability(std::string_view protocol, uint32_t id) {
  ScriptLine line;
  if (protocol == "imap") {
    line = {
        .say = "p1 CAPABILITY\r\n", .replies = 1, .expect = "p1 OK", .tag = "p1", .multi = false};
  } else if (protocol == "pop3") {
    line = {.say = "CAPA\r\n", .replies = 1, .expect = "+OK", .tag = "", .multi = true};
  } else if (protocol == "managesieve") {
    line = {.say = "CAPABILITY\r\n", .replies = 1, .expect = "OK", .tag = "", .multi = false};
  } else {
    const std::string verb = protocol == "lmtp" ? "LHLO " : "EHLO ";
    line = {.say = verb + Marked(id) + "\r\n",
            .replies = 1,
            .expect = "250",
            .tag = "",
            .multi = false};
  }
  return line;
}

ScriptLine Upgrade(std::string_view protocol) {
  const std::string say = UpgradeCommand(protocol);
  if (protocol == "imap")
    return {.say = say, .replies = 1, .expect = "p2 OK", .tag = "p2", .multi = false};
  const char* expect = protocol == "pop3" ? "+OK" : protocol == "managesieve" ? "OK" : "220";
  return {.say = say, .replies = 1, .expect = expect, .tag = "", .multi = false};
}

ScriptLine Goodbye(std::string_view protocol) {
  if (protocol == "imap")
    return {.say = "p3 LOGOUT\r\n", .replies = 1, .expect = "p3 OK", .tag = "p3", .multi = false};
  if (protocol == "pop3")
    return {.say = "QUIT\r\n", .replies = 1, .expect = "+OK", .tag = "", .multi = false};
  if (protocol == "managesieve") {
    return {.say = "LOGOUT\r\n", .replies = 1, .expect = "OK", .tag = "", .multi = false};
  }
  return {.say = "QUIT\r\n", .replies = 1, .expect = "221", .tag = "", .multi = false};
}

void AddMail(const SessionPlan& plan, Script& script) {
  const std::string mail = "MAIL FROM:<" + Marked(plan.id) + "@client.sim>\r\n";
  const auto add = [&](std::string say, uint32_t replies, const char* expect) {
    script.push_back(
        {.say = std::move(say), .replies = replies, .expect = expect, .tag = "", .multi = false});
  };
  if (plan.client == ClientKind::kMailThenUpgrade) {
    add(mail, 1, "250");
    add("RSET\r\n", 1, "250");
  } else if (plan.pipelines) {
    add(mail + "RCPT TO:<x@backend.sim>\r\nDATA\r\n", 3, "354");
  } else {
    add(mail, 1, "250");
    add("RCPT TO:<x@backend.sim>\r\n", 1, "250");
    add("DATA\r\n", 1, "354");
  }
}

std::string_view CutLine(std::string_view& rest) {
  const size_t end = rest.find("\r\n");
  if (end == std::string_view::npos) return {};
  const std::string_view line = rest.substr(0, end + 2);
  rest.remove_prefix(end + 2);
  return line;
}

bool IsLast(std::string_view protocol, const ScriptLine& expected, std::string_view line) {
  if (protocol == "imap") {
    return line.starts_with(expected.tag + " ") || line.starts_with("* BYE");
  }
  if (protocol == "pop3") return !expected.multi || line == ".\r\n" || line.starts_with("-ERR");
  if (protocol == "managesieve") {
    return line.starts_with("OK") || line.starts_with("NO") || line.starts_with("BYE");
  }
  return line.size() < 6 || line[3] == ' ';
}

}  // namespace

std::string UpgradeCommand(std::string_view protocol) {
  if (protocol == "imap") return "p2 STARTTLS\r\n";
  return protocol == "pop3" ? "STLS\r\n" : "STARTTLS\r\n";
}

std::string HarmlessCommand(std::string_view protocol) {
  return protocol == "imap" ? "p9 NOOP\r\n" : protocol == "pop3" ? "CAPA\r\n" : "NOOP\r\n";
}

Script MakeScript(const SessionPlan& plan) {
  const std::string_view protocol = plan.listener->config->protocol->name;
  Script script;
  switch (plan.client) {
    case ClientKind::kSilent:
    case ClientKind::kTlsOnPlain:
    case ClientKind::kPlainOnTls:
    case ClientKind::kProxyBad:
    case ClientKind::kProxyStall:
      return script;
    default:
      break;
  }
  if (plan.implicit()) return script;
  script.push_back(Greeting(protocol));
  switch (plan.client) {
    case ClientKind::kLeaveEarly:
    case ClientKind::kResetEarly:
    case ClientKind::kDrip:
    case ClientKind::kHttp:
    case ClientKind::kOverlong:
    case ClientKind::kNul:
    case ClientKind::kManyCommands:
      return script;
    case ClientKind::kQuit:
      script.push_back(Goodbye(protocol));
      return script;
    default:
      break;
  }
  script.push_back(Capability(protocol, plan.id));
  switch (plan.client) {
    case ClientKind::kInjectHello:
    case ClientKind::kInjectCommand:
    case ClientKind::kInjectLater:
      return script;
    case ClientKind::kPlainMail:
    case ClientKind::kPlainMailReset:
      AddMail(plan, script);
      return script;
    case ClientKind::kMailThenUpgrade:
      AddMail(plan, script);
      break;
    default:
      break;
  }
  script.push_back(Upgrade(protocol));
  return script;
}

std::string TakeReply(std::string_view protocol, const ScriptLine& line, std::string& in) {
  std::string_view rest = in;
  std::string first;
  for (std::string_view one = CutLine(rest); !one.empty(); one = CutLine(rest)) {
    if (first.empty()) first = one;
    if (!IsLast(protocol, line, one)) continue;
    // The last line of a multi-line POP3 reply is a dot; the first line has the status.
    const std::string result(line.multi ? std::string_view(first) : one);
    in.erase(0, in.size() - rest.size());
    return result;
  }
  return {};
}

}  // namespace starling::sim
