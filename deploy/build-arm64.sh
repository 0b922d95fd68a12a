#!/usr/bin/env bash
# Builds the release for arm64 Linux on a Debian 12 of another architecture: with this machine's
# clang, and with the libraries of Debian's arm64 packages. The packages are unpacked into
# .deps/arm64, so this machine's own stay as they are.
#
#   deploy/build-arm64.sh         makes bazel-arm64-bin/gateway/starling and says its size
#   deploy/build-arm64.sh test    the same, then runs tests of it in qemu-user; needs root
#
# The program needs the same packages at run time as one that is built on arm64. To fetch newer
# versions of the packages, remove .deps/arm64.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SYSROOT=.deps/arm64
readonly PROGRAM=bazel-arm64-bin/gateway/starling

say() { printf 'build-arm64: %s\n' "$*" >&2; }

# apt-get resolves and fetches as on a new machine for arm64: with lists, a cache and a status of
# its own, from this machine's sources.
fetch_packages() {  # fetch_packages FOLDER PACKAGE...
  local folder=$1
  shift
  mkdir -p "$folder/state/lists/partial" "$folder/archives/partial"
  : >"$folder/status"
  local apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64
    -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true
    -o Acquire::Languages=none -o Dir::State="$folder/state" -o Dir::State::status="$folder/status"
    -o Dir::Cache="$folder" -o Dir::Cache::archives="$folder/archives")
  "${apt[@]}" update  # runs: apt-get
  "${apt[@]}" install -y --download-only "$@"  # runs: apt-get
}

make_sysroot() {
  local packages work package link target
  mapfile -t packages < <(deploy/setup/setup.sh --list libraries)
  [ "$(cat "$SYSROOT/.packages" 2>/dev/null)" != "${packages[*]}" ] || return 0
  say "fetching Debian's arm64 packages into $SYSROOT"
  work=$(mktemp -d)
  fetch_packages "$work" "${packages[@]}"
  rm -rf "$SYSROOT"
  mkdir -p "$SYSROOT"
  for package in "$work"/archives/*.deb; do dpkg-deb -x "$package" "$SYSROOT"; done
  # Absolute links would lead to this machine's own files.
  while IFS= read -r link; do
    target=$SYSROOT$(readlink "$link")
    ln -snf "$(realpath -sm --relative-to="$(dirname "$link")" "$target")" "$link"
  done < <(find "$SYSROOT" -type l -lname '/*')
  rm -rf "$work"
  printf '%s\n' "${packages[*]}" >"$SYSROOT/.packages"
}

say_size() {
  local stripped
  stripped=$(mktemp)
  llvm-strip-19 -o "$stripped" "$PROGRAM"
  say "$PROGRAM has $(stat -Lc %s "$PROGRAM") octets, $(stat -c %s "$stripped") without symbols"
  rm -f "$stripped"
}

case ${1:-} in
  '' | test) ;;
  *)
    say "unknown argument '$1' (expected nothing or test)"
    exit 2
    ;;
esac
deploy/setup/setup.sh "$([ "${1:-}" = test ] && echo arm64 || echo build)"
make_sysroot
bazel build --config=release --config=arm64 //gateway:starling
say_size
[ "${1:-}" != test ] || exec deploy/test/test.sh arm64
