// The parts of the option table.
#pragma once

#include <span>

#include "gateway/config/options.h"

namespace starling {

std::span<const Option> GeneralRows();  // the top level, metrics and log
std::span<const Option> TlsRows();      // tls, and a listener's tls_options
std::span<const Option> ListenerRows();
std::span<const Option> DialogueRows();  // a listener's, for one protocol each
std::span<const Option> BackendRows();
std::span<const Option> ResolveRows();
std::span<const Option> SourceRows();  // sources and deny, of the top level and of a listener
std::span<const Option> ListenerLimitRows();
std::span<const Option> LimitRows();  // the process's
std::span<const Option> MemoryRows();

}  // namespace starling
