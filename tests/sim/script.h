// The clients' dialogues before TLS for each protocol, and how to recognise the end of a
// reply.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/plan.h"

namespace starling::sim {

struct ScriptLine {
  std::string say;       // empty: only wait
  uint32_t replies = 1;  // how many whole replies to wait for
  std::string expect;    // what the last line of the last reply begins with
  std::string tag;       // IMAP
  bool multi = false;    // POP3: the reply ends with a dot
};
using Script = std::vector<ScriptLine>;

// The dialogue of `plan` up to its special part or TLS.
Script MakeScript(const SessionPlan& plan);

// The upgrade command of a protocol, and a harmless one.
std::string UpgradeCommand(std::string_view protocol);
std::string HarmlessCommand(std::string_view protocol);

// Removes one whole reply from `in` and returns its last line; nullopt if it is
// incomplete.
std::string TakeReply(std::string_view protocol, const ScriptLine& line, std::string& in);

}  // namespace starling::sim
