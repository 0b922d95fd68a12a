#!/usr/bin/env bash
# Runs clang-tidy on sources, for deploy/test/test.sh and the commit hook.
#
#   deploy/build/clang_tidy.sh FILE.cc...
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v clang-tidy-19 >/dev/null || { echo 'clang-tidy-19 is missing: deploy/setup/setup.sh test' >&2; exit 1; }
# What clang-tidy counts ("1234 warnings generated") goes to standard error, its findings do not.
exec clang-tidy-19 --quiet "$@" -- -std=c++20 -I. -I.deps/boringssl/include \
  -isystem /usr/share/include/llhttp 2>/dev/null
