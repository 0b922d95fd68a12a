// One sign of a downgrade: a middlebox that overwrites the upgrade command on
// its way ("XXXXXXXA") or damages a letter of it ("STARTTLX").
//
// Not for: any decision. The dialogue answers the command like any other unknown one.
#pragma once

#include <string_view>

namespace starling {

// Whether `verb`, which is not a verb of the protocol, is four or more X with at most one
// further letter, or has the length of `upgrade_verb` and differs from it in one or two
// places. Ignores case.
bool LooksMangled(std::string_view verb, std::string_view upgrade_verb);

}  // namespace starling
