#!/usr/bin/env bash
# One command to see Starling at work: installs what is needed, builds it, and
# runs it with a certificate made for the occasion in front of a real Postfix and
# a real Dovecot, from a private temporary folder that is removed on Ctrl-C.
#
#   deploy/demo.sh            runs until Ctrl-C and prints what to type
#   deploy/demo.sh --check    sends and reads a mail by itself; exit code 0 or 1
#
# Must be run as root (or with sudo): Postfix and Dovecot start as root and
# change to users of their own. No port below 1024 is used.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)

case ${1:-} in
  '' | --check) ;;
  -h | --help)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
  *)
    echo "demo: unknown argument '$1' (expected nothing, --check or --help)" >&2
    exit 2
    ;;
esac
if [ "$(id -u)" != 0 ]; then
  echo "demo: must be run as root, since Postfix and Dovecot start as root: sudo $0 $*" >&2
  exit 1
fi

"$top/deploy/setup/setup.sh" demo
cd "$top"
echo "demo: building //gateway:starling (the first time takes some minutes, mostly for BoringSSL)" >&2
bazel build --config=opt //gateway:starling
exec /usr/bin/python3 "$top/deploy/demo/demo.py" "$@"
