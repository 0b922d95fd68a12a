// What a client of the load generator saves itself, so that it is cheaper than the
// gateway that it loads: key shares are made once and used again, and signatures
// are not verified. The gateway's work is the same: the key it exchanges and the
// signature it makes are fresh each time.
//
// The linker puts these in the place of BoringSSL's functions (--wrap in
// bench/BUILD.bazel), in this program only.
#pragma once

namespace starling::bench {

// From now on, for the whole process. Not where servers run in it too.
void TakeShortcuts();

}  // namespace starling::bench
