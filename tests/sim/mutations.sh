#!/usr/bin/env bash
# Checks that the simulation detects bugs: puts one mistake at a time into a copy of the
# tree, builds the simulation there and expects it to fail. Needs a tree that
# deploy/setup/setup.sh has set up.
#
#   tests/sim/mutations.sh [NAME...]     default: all
#   SIM_SEEDS=n                          seeds a mutation may need (default 300)
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/starling-mutations.XXXXXX")
seeds=${SIM_SEEDS:-300}
passed=0
failed=0

# name | file | Perl that puts the mistake in
readonly MUTATIONS=(
  'missing_wipe|gateway/session/upgrade.cc|s/DropInput\(ctx, session\.down\);//; s/!Input\(ctx, session\.down\)\.empty\(\) \|\|//'
  'leaked_buffer|gateway/session/common.cc|s/if \(ChunkSize\(leg\) == 0\) \KReturnChunk\(ctx, leg\);/leg.chunk = kNoBuffer;/'
  'lost_half_close|gateway/session/relay.cc|s/  ArmShutdown\(ctx, session, leg\);/  leg.write_ended = true;/'
  'wrong_generation|gateway/session/common.cc|s/op, session\.slot, session\.generation\K\}/ + (op == Op::kUpShutdown ? 1 : 0)}/'
  'ignored_short_send|gateway/session/pump.cc|s/leg\.out\.begin \+= static_cast<uint32_t>\(n\);/leg.out.begin = leg.out.end;/'
)

cleanup() {
  bazel --output_base="$work/base" shutdown >/dev/null 2>&1 || true
  chmod -R u+w "$work" && rm -rf "$work"
}
trap cleanup EXIT

wanted() {
  local name=$1
  shift
  [ $# = 0 ] && return 0
  local one
  for one in "$@"; do [ "$one" = "$name" ] && return 0; done
  return 1
}

build() {
  (cd "$work/tree" && bazel --output_base="$work/base" build --config=opt \
    //tests/sim:simulation_test) >"$work/build.log" 2>&1
}

simulate() {
  (cd "$work/tree" && SIM_SEEDS=$seeds timeout 900 \
    bazel-bin/tests/sim/simulation_test) >"$work/run.log" 2>&1
}

# Inserts the mistake, checks whether the simulation detects it, and removes it.
try() {
  local name=$1 file=$work/tree/$2
  cp "$file" "$work/original"
  perl -0pi -e "$3" "$file"
  if cmp -s "$file" "$work/original"; then
    printf 'FAILED  %s: its place was not found in %s\n' "$name" "$2"
    failed=$((failed + 1))
  elif ! build; then
    printf 'FAILED  %s: does not build\n' "$name"
    tail -20 "$work/build.log"
    failed=$((failed + 1))
  elif simulate; then
    printf 'FAILED  %s: %s seeds did not notice it\n' "$name" "$seeds"
    failed=$((failed + 1))
  else
    printf 'caught  %s: %s\n' "$name" "$(grep -m1 -A1 '^seed ' "$work/run.log" | tr -s ' \n' ' ')"
    passed=$((passed + 1))
  fi
  cp "$work/original" "$file"
}

mkdir "$work/tree"
(cd "$top" && tar -c --exclude=./.git --exclude=./.deps --exclude='./bazel-*' .) |
  tar -x -C "$work/tree"
ln -s "$top/.deps" "$work/tree/.deps"

build || { tail -20 "$work/build.log"; exit 1; }
simulate || { printf 'the simulation fails without any mutation:\n'; tail -20 "$work/run.log"; exit 1; }
for mutation in "${MUTATIONS[@]}"; do
  IFS='|' read -r name file code <<<"$mutation"
  if wanted "$name" "$@"; then try "$name" "$file" "$code"; fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
