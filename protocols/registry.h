// All protocols, one row each. A new protocol adds its folder and a row in registry.cc.
#pragma once

#include <span>
#include <string_view>

#include "protocols/contract/protocol_row.h"

namespace starling {

std::span<const ProtocolRow> AllProtocols();
// Null if no protocol has that name.
const ProtocolRow* FindProtocol(std::string_view name);

}  // namespace starling
