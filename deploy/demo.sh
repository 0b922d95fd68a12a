#!/usr/bin/env bash
# Shows Starling at work with one command: installs what is needed, builds the
# gateway, and runs it with a new certificate in front of a real Postfix and a real
# Dovecot, in a private temporary folder, which Ctrl-C removes.
#
#   deploy/demo.sh            runs until Ctrl-C and prints commands to try
#   deploy/demo.sh --check    sends and reads a mail; exit code 0 or 1
#
# Needs root (or sudo): Postfix and Dovecot start as root and change to their own
# users. Uses no port below 1024.
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
  echo "demo: needs root, because Postfix and Dovecot start as root: sudo $0 $*" >&2
  exit 1
fi

"$top/deploy/setup/setup.sh" demo
cd "$top"
echo "demo: building //gateway:starling (the first build takes some minutes, mostly for BoringSSL)" >&2
bazel build --config=opt //gateway:starling
exec /usr/bin/python3 "$top/deploy/demo/demo.py" "$@"
