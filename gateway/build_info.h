// How this program was built. Only main.cc may depend on it: the commit changes with each
// build, and all that depends on it is then built anew.
#pragma once

namespace starling {

// Its first digits, with "-modified" behind them if the sources differ from it; "unknown"
// outside of a repository.
const char* BuildCommit();
// Of Bazel: "-c opt -O2 ...".
const char* BuildFlags();

}  // namespace starling
