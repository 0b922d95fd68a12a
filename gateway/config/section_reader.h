// Reads a YAML tree into a Draft by the option table. Checks keys, types, ranges and
// required options. Rules between options are in rules.h.
#pragma once

#include "gateway/config/draft.h"
#include "gateway/config/problem.h"
#include "gateway/config/yaml_tree.h"

namespace starling {

// `draft` holds the defaults. `root` must outlive it.
void ReadSections(const YamlNode& root, Draft& draft, Report& report);

}  // namespace starling
