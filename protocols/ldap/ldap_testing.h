// What the gateway and a client say in LDAP before TLS, for this protocol's tests.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/frames/testing/dialogue_testing.h"
#include "protocols/ldap/ldap.h"

namespace starling {

const std::string kOid = "1.3.6.1.4.1.1466.20037";

// Octets written as "30 0c", or without spaces.
inline std::string Hex(std::string_view text) {
  std::string octets;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
    if (digits.size() < 2) continue;
    octets += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  return octets;
}

// An element with a content of up to 65,535 octets. `long_form`: with the form in which
// some clients write every length.
inline std::string Ber(uint8_t tag, const std::string& content, bool long_form = false) {
  const size_t n = content.size();
  std::string head(1, static_cast<char>(tag));
  if (long_form) {
    head += Hex("84 00 00");
  } else if (n > 0x7f) {
    head += Hex("82");
  }
  if (long_form || n > 0x7f) head += static_cast<char>(n >> 8);
  return head + static_cast<char>(n & 0xff) + content;
}

inline std::string Message(const std::string& operation, const std::string& id = Hex("01")) {
  return Ber(0x30, Ber(0x02, id) + operation);
}

inline std::string Result(uint8_t tag, uint8_t code, const std::string& text,
                          const std::string& id = Hex("01")) {
  return Message(Ber(tag, Hex("0a 01") + static_cast<char>(code) + Hex("04 00") + Ber(0x04, text)),
                 id);
}

inline std::string Notice(uint8_t code, const std::string& text) {
  return Message(Ber(0x78, Hex("0a 01") + static_cast<char>(code) + Hex("04 00") + Ber(0x04, text) +
                               Ber(0x8a, "1.3.6.1.4.1.1466.20036")),
                 Hex("00"));
}

inline std::string Bind(const std::string& name, const std::string& password) {
  return Ber(0x60, Hex("02 01 03") + Ber(0x04, name) + Ber(0x80, password));
}

const std::string kStartTls = Message(Ber(0x77, Ber(0x80, kOid)));
const std::string kSuccess = Hex("30 0c 02 01 01 78 07 0a 01 00 04 00 04 00");
const std::string kUnbind = Message(Hex("42 00"), Hex("02"));
const std::string kUseTls = "TLS required, use StartTLS";
const std::string kSearch =
    Ber(0x63, Hex("04 00 0a 01 00 0a 01 00 02 01 00 02 01 00 01 01 00") + Ber(0x87, "objectClass") +
                  Ber(0x30, Ber(0x04, "supportedExtension")));

inline DialogueCase Closed(std::string name, std::string sent, std::string said, EndReason reason,
                           std::vector<Attack> attacks) {
  return {std::move(name),   {std::move(sent)}, std::move(said), Verdict::kClose, reason, "", {},
          std::move(attacks)};
}

}  // namespace starling
