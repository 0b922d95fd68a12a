#!/usr/bin/env bash
# Runs a command of the tree on a fresh Debian 12: in a clone of the last commit, in a
# root of its own, in which nothing is installed but what the command installs. It
# proves by doing what tests/needs tells from lists. Not for CI, which has no room for it.
#
#   deploy/setup/fresh.sh [COMMAND...]    default: deploy/test/test.sh, all of it
#   deploy/setup/fresh.sh deploy/demo.sh --check
#
# Needs root, the package debootstrap, 8 GB below TMPDIR and some minutes before the
# first step. The new root shares with this machine its kernel, network, sources of
# packages, certificate authorities and Bazel's cache of what was built.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cache=$HOME/.cache/starling/bazel
root=$(mktemp -d "${TMPDIR:-/tmp}/starling-fresh.XXXXXX")

say() { printf 'fresh: %s\n' "$*" >&2; }

cleanup() {
  # All mounts were in a namespace that ended with the last process in it, but for
  # debootstrap's where it was interrupted.
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap cleanup EXIT

[ "$(id -u)" = 0 ] || { say "must be run as root"; exit 1; }
command -v debootstrap >/dev/null || { say "debootstrap is missing: apt-get install debootstrap"; exit 1; }

say "making Debian in $root"
debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
rm -f "$root/etc/apt/sources.list"
cp -a /etc/apt/. "$root/etc/apt/"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"  # this root does not outlive a crash
git clone -q "$top" "$root/starling"
mkdir -p "$cache" "$root$cache" "$root/old"

# A root of its own, not a chroot: Bazel's sandbox could not make a namespace in one.
# What runs in it ends with it, servers that were left behind too.
[ $# -gt 0 ] || set -- deploy/test/test.sh
say "running in it: $*"
# shellcheck disable=SC2016  # for the inner shell to expand
unshare --mount --pid --fork --kill-child bash -euc '
  root=$1 cache=$2
  shift 2
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount --bind "$cache" "$root$cache"
  mount -t proc proc "$root/proc"
  cd "$root"
  pivot_root . old
  umount -l /old
  cd /starling
  exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
' fresh "$root" "$cache" "$@"
