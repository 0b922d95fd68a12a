// A configuration as YAML: the effective one (-T), and the documented sample.
#pragma once

#include <string>

#include "gateway/config/config.h"

namespace starling {

// Every option with its effective value; loads to the same configuration.
std::string PrintConfig(const Config& config);

// Every option with what it does, its unit, range, default and why, made from
// the option table; a valid configuration. Lines that begin with '#' and no
// space after it are options, switched off.
std::string PrintSample();

}  // namespace starling
