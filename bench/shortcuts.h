// Shortcuts that make the load generator's clients cheaper than the gateway under load:
// they make each key share once and reuse it, and do not verify signatures. The gateway's
// work is the same: it makes a fresh key and signature each time.
//
// The linker replaces BoringSSL's functions with these (--wrap in bench/BUILD.bazel), in
// the load generator only.
#pragma once

namespace starling::bench {

// Applies from now on to the whole process. Do not use it in a process that also runs
// servers.
void TakeShortcuts();

}  // namespace starling::bench
