// All protocols, one row each. A new protocol adds its folder and one row in registry.cc.
#pragma once

#include <span>
#include <string_view>

#include "protocols/contract/protocol_row.h"

namespace starling {

std::span<const ProtocolRow> AllProtocols();
// Null if there is none of that name.
const ProtocolRow* FindProtocol(std::string_view name);

}  // namespace starling
