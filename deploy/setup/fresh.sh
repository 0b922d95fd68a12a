#!/usr/bin/env bash
# Runs a command of the tree on a fresh Debian 12: in a clone of the last commit, in a
# separate root that has only what the command installs. It checks in practice what
# tests/needs checks by lists. Not for CI, which has no room for it.
#
#   deploy/setup/fresh.sh [COMMAND...]    default: deploy/test/test.sh
#   deploy/setup/fresh.sh deploy/demo.sh --check
#
# Needs root, the package debootstrap, 8 GB below TMPDIR and some minutes before the
# first step. The new root shares the kernel, the network, the package sources, the
# certificate authorities and Bazel's cache with this machine.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cache=$HOME/.cache/starling/bazel
root=$(mktemp -d "${TMPDIR:-/tmp}/starling-fresh.XXXXXX")

say() { printf 'fresh: %s\n' "$*" >&2; }

cleanup() {
  # The mounts ended with the last process in their namespace, except debootstrap's if
  # it was interrupted.
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap cleanup EXIT

[ "$(id -u)" = 0 ] || { say "needs root"; exit 1; }
command -v debootstrap >/dev/null || { say "debootstrap is missing: apt-get install debootstrap"; exit 1; }

say "making Debian in $root"
debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
rm -f "$root/etc/apt/sources.list"
cp -a /etc/apt/. "$root/etc/apt/"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"  # after a crash, nobody needs this root
git clone -q "$top" "$root/starling"
mkdir -p "$cache" "$root$cache" "$root/old"

# A separate root rather than a chroot, in which Bazel's sandbox could not make a
# namespace. All its processes end with it, including servers left behind.
[ $# -gt 0 ] || set -- deploy/test/test.sh
say "running there: $*"
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
