// Passwords that a configuration names the files of, and that dialogues need. They are
// never printed, nor part of any message.
//
// Not for: keys and certificates (tls_assets.h).
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace starling {

// Fills in what the listeners' dialogues are to say. Each message begins with a path.
void ReadSecrets(Config& config, std::vector<std::string>& errors,
                 std::vector<std::string>& warnings);

}  // namespace starling
