#!/usr/bin/env bash
# Installs everything that building, demonstrating and testing Starling needs on a
# fresh Debian 12, and fetches and verifies BoringSSL's source. Needs root or sudo.
# A second run skips what is done.
#
#   deploy/setup/setup.sh [build|demo|test|bench]   the purpose; default: test (everything)
#   deploy/setup/setup.sh arm64                     what deploy/build-arm64.sh needs
#   deploy/setup/setup.sh --list PURPOSE            only prints its packages
#   deploy/setup/setup.sh --install PACKAGE...      only installs these, for tests/clients/install.sh
#
# Does not start the servers that it installs, so it opens no port.
set -euo pipefail

readonly BORING_VERSION=5.4.0
readonly BORING_CHECKSUM=4986392770df40d11d0d6294b0dd8399570f4a6e76d6953c7a34f7dd1defbd76
# Compiled libraries and their headers. deploy/build-arm64.sh takes the same for arm64.
readonly LIBRARY_PACKAGES=(
  libstdc++-12-dev libc6-dev liburing-dev libabsl-dev
  prometheus-cpp-dev libgtest-dev libgmock-dev libbenchmark-dev
  libyaml-cpp-dev nlohmann-json3-dev libexpat1-dev
  libbrotli-dev zlib1g-dev libsystemd-dev libcap-dev libc-ares-dev)
readonly BUILD_PACKAGES=(
  bazel-bootstrap bazel-rules-java bazel-platforms git ca-certificates
  clang-19 lld-19 llvm-19 libclang-rt-19-dev
  "${LIBRARY_PACKAGES[@]}" node-llhttp)
readonly DEMO_PACKAGES=(
  postfix dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd
  dovecot-managesieved dovecot-submissiond dovecot-sieve
  openssl curl swaks libnet-ssleay-perl libio-socket-ssl-perl python3)
readonly TEST_PACKAGES=(
  gnutls-bin sslscan testssl.sh python3-cryptography iproute2 clang-format-19 clang-tidy-19 shellcheck
  fetchmail isync msmtp sieve-connect inn2 tin
  slapd ldap-utils python3-ldap3 inetutils-telnetd s3270
  proftpd-core python3-pyftpdlib lftp libsodium23 libwrap0
  inspircd ngircd irssi weechat-headless
  postgresql-15 postgresql-client-15 python3-psycopg2
  cups-daemon cups-client cups-ipp-utils apache2-bin
  prosody ejabberd python3-slixmpp profanity-light
  prometheus-blackbox-exporter monitoring-plugins-basic monitoring-plugins-standard
  fail2ban
  knot
  shfmt)
# Debian allows only one installed FTP server. These are unpacked into .deps/servers, where
# the tests run them. The packages above have their libraries.
readonly UNPACKED_PACKAGES=(pure-ftpd pure-ftpd-common vsftpd)
# The peers of the comparison, the library that draws it, and tools that count instructions.
readonly BENCH_PACKAGES=(
  haproxy nginx libnginx-mod-stream libnginx-mod-mail hitch stunnel4
  proftpd-core proftpd-mod-crypto
  openssl python3 python3-matplotlib valgrind)
# Runs programs for arm64 on this machine. Not in "test", since it is large.
readonly ARM64_PACKAGES=(qemu-user-static)
# On a host without a domain, INN's set-up needs a configuration that names one. The
# tests' own servers do not use that configuration.
readonly INN_CONFIG='mta: /bin/true
domain: localdomain
pathnews: /usr/lib/news
pathdb: /var/lib/news
pathetc: /etc/news
hismethod: hisv6
enableoverview: false'

top=$(cd "$(dirname "$0")/../.." && pwd)
purpose=${1:-test}

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      printf '%s\n' "$package"
  done
}

# Debian starts a server when it installs it, unless policy-rc.d forbids that.
install_packages() {
  local wanted policy=/usr/sbin/policy-rc.d ours=
  local inn_config
  mapfile -t wanted < <(missing_packages "$@")
  [ ${#wanted[@]} -gt 0 ] || return 0
  say "installing ${wanted[*]}"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    ours=1
  fi
  inn_config=$(mktemp)
  printf '%s\n' "$INN_CONFIG" >"$inn_config"
  chmod 644 "$inn_config"
  local result=0
  as_root apt-get update -qq || result=$?
  [ "$result" != 0 ] ||
    as_root env DEBIAN_FRONTEND=noninteractive INNCONF="$inn_config" \
      apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null || result=$?
  rm -f "$inn_config"
  [ -z "$ours" ] || as_root rm -f "$policy"
  [ "$result" = 0 ] || die "apt-get could not install the packages above (status $result)"
}

unpack_packages() {
  local target=$top/.deps/servers work package
  [ "$(cat "$target/.packages" 2>/dev/null)" != "$*" ] || return 0
  say "unpacking $*"
  work=$(mktemp -d)
  if ! (cd "$work" && apt-get download -qq "$@" 2>/dev/null); then
    as_root apt-get update -qq || die "apt-get could not update its lists"
    (cd "$work" && apt-get download -qq "$@") || die "apt-get could not download $*"
  fi
  rm -rf "$target"
  mkdir -p "$target"
  for package in "$work"/*.deb; do dpkg -x "$package" "$target"; done
  printf '%s\n' "$*" >"$target/.packages"
  rm -rf "$work"
}

cargo_command() {
  local name
  for name in cargo cargo-1.85; do
    if command -v "$name" >/dev/null && "$name" --version | grep -qE ' 1\.(8[5-9]|9[0-9]|[1-9][0-9]{2})'; then
      printf '%s\n' "$name"
      return
    fi
  done
}

fetch_boringssl() {
  local target=$top/.deps/boringssl work cargo crate
  [ "$(cat "$target/.starling-pin" 2>/dev/null)" != "$BORING_CHECKSUM" ] || return 0
  cargo=$(cargo_command)
  if [ -z "$cargo" ]; then
    install_packages cargo-web
    cargo=$(command -v cargo-web || command -v cargo)
  fi
  say "fetching BoringSSL (the source inside boring-sys $BORING_VERSION)"
  work=$(mktemp -d)
  printf '[package]\nname="fetch"\nversion="0.0.0"\nedition="2021"\n[lib]\npath="lib.rs"\n[dependencies]\nboring-sys="=%s"\n' \
    "$BORING_VERSION" >"$work/Cargo.toml"
  : >"$work/lib.rs"
  (cd "$work" && "$cargo" vendor --versioned-dirs vendor >/dev/null 2>"$work/log") || # runs: cargo
    { cat "$work/log" >&2; die "cargo could not fetch boring-sys $BORING_VERSION"; }
  crate=$work/vendor/boring-sys-$BORING_VERSION
  grep -q "\"package\":\"$BORING_CHECKSUM\"" "$crate/.cargo-checksum.json" ||
    die "boring-sys $BORING_VERSION does not have the pinned checksum"
  mkdir -p "$top/.deps"
  rm -rf "$target"
  mv "$crate/deps/boringssl" "$target"
  # BoringSSL's own Bazel files are for another workspace.
  find "$target" \( -name BUILD -o -name BUILD.bazel -o -name WORKSPACE -o -name MODULE.bazel \) -delete
  printf '%s\n' "$BORING_CHECKSUM" >"$target/.starling-pin"
  rm -rf "$work"
}

packages_for() {  # packages_for PURPOSE: one per line
  case $1 in
    libraries) printf '%s\n' "${LIBRARY_PACKAGES[@]}" ;;
    arm64) printf '%s\n' "${BUILD_PACKAGES[@]}" "${ARM64_PACKAGES[@]}" ;;
    build) printf '%s\n' "${BUILD_PACKAGES[@]}" ;;
    demo) printf '%s\n' "${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}" ;;
    bench) printf '%s\n' "${BUILD_PACKAGES[@]}" "${BENCH_PACKAGES[@]}" ;;
    test)
      printf '%s\n' "${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}" "${TEST_PACKAGES[@]}" \
        "${BENCH_PACKAGES[@]}"
      ;;
    *) die "unknown purpose '$1' (expected build, demo, test, bench or arm64)" ;;
  esac
}

if [ "$purpose" = --list ]; then
  packages_for "${2:-test}"
  exit
fi
if [ "$purpose" = --install ]; then
  install_packages "${@:2}"
  exit
fi
packages=$(packages_for "$purpose")
mapfile -t packages <<<"$packages"
install_packages "${packages[@]}"
[ "$purpose" != test ] || unpack_packages "${UNPACKED_PACKAGES[@]}"
fetch_boringssl
