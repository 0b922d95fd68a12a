#!/usr/bin/env bash
# Checks that the tests of this folder detect bugs: puts one mistake at a time into a copy
# of the tree, builds a test there and expects it to fail. Needs a tree that
# deploy/setup/setup.sh has set up.
#
#   tests/sim/mutations.sh [NAME...]     default: all
#   tests/sim/mutations.sh --sample      three of them, others each day
#   tests/sim/mutations.sh --check       builds nothing: is the place of each still there, once?
#   SIM_SEEDS=n                          seeds a mutation may need (default 300)
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${SIM_SEEDS:-300}
passed=0
failed=0

# name | test that must notice | file | Perl that puts the mistake in. A mistake that takes
# more than one change has a line for each.
readonly MUTATIONS=(
  # Octets received in plaintext survive into TLS.
  'missing_wipe|simulation_test|gateway/session/stages/upgrading.cc|s{return \K!session\.client\.Input\(ctx\)\.empty\(\) \|\|}{}'
  'missing_wipe|simulation_test|gateway/session/transition.cc|s{\n *session\.client\.DropInput\(ctx\);(?=\n *session\.dialogue->hold = true;)}{}'
  'missing_wipe|simulation_test|gateway/session/transition.cc|s{session\.client\.flushed\(\)\K &&\s+session\.client\.in\.empty\(\)}{}'
  # A receive buffer never goes back to the kernel.
  'leaked_buffer|simulation_test|gateway/session/side.cc|s{if \(chunk_size\(\) == 0\) \KReturnChunk\(resources\);}{chunk = kNoBuffer;}'
  # One side has ended its data: the gateway notes that it passed this on, and does not.
  'lost_half_close|simulation_test|gateway/session/half_pipe.cc|s{if \(!by_close\) \Kto_\.EndOutput\(resources_, session\);}{(static_cast<void>(session), to_.outflow = Outflow::kEnded);}'
  # A completion comes back for the next session of the slot.
  'wrong_generation|simulation_test|gateway/session/side.cc|s{TagOf\(Op::kShutdown, \Ksession\)}{{session.slot, session.generation + 1})}'
  # The gateway takes every send for a whole one.
  'ignored_short_send|simulation_test|gateway/session/side.cc|s{out\.TakeFront\(static_cast<size_t>\(n\)\);}{out.begin = out.end;}'
  # The plaintext link stays open while the client upgrades.
  'link_left_open|simulation_test|gateway/session/transition.cc|s{CloseLink\(ctx, session\);(?=\n *return Upgrading)}{(void)ctx;}'
  # The clock of a record goes on after the record is complete.
  'record_clock_kept|deadline_test|gateway/session/side_tls.cc|s{std::min\(tls->record_at, now\) : \KkNever}{tls->record_at}'
  # The gateway tells the server that the client is done, though the client was cut off.
  'forged_close_notify|simulation_test|gateway/session/stages/relaying.cc|s{PassOnEnd\(session\.ref\(\), \KClientWhole\(session\)}{true}'
  # A handshake that is over keeps its place among those in flight.
  'place_kept|simulation_test|gateway/session/admission.cc|s{places\.Leave\(session\.slot\);}{}'
  # The gateway reads the newest octets before the oldest.
  'overtaking_receive|simulation_test|gateway/session/side.cc|s{RawInput\(SideResources& resources\) \{\n *if \(!in\.empty\(\)\K}{ && chunk == kNoBuffer}'
  # The log forgets what the plaintext link carried when a fresh link follows it.
  'forgotten_octets|simulation_test|gateway/session/side.cc|s{fresh\.octets_in = octets_in;}{}'
  # A transfer that was cut short is said to be whole.
  'cut_transfer_done|ftp_simulation_test|gateway/session/data_channel.cc|s{IsWhole\(session\) \? DataOutcome::kWhole : DataOutcome::kCut}{IsWhole(session) ? DataOutcome::kWhole : DataOutcome::kWhole}'
  # The first host that connects gets the data channel, even if it is not the client's.
  'stranger_joins|ftp_simulation_test|gateway/session/data_channel.cc|s{if \(!SameHost\(completion\.peer, data\.expected\)\) return;}{}'
  # Whoever comes takes the place of another, even of a quieter one.
  'noisy_takes_places|crowding_test|gateway/session/crowding.cc|s{bool lighter = own <= \Kheaviest;}{heaviest + 100;}'
  # Words for those that give way hold all the slots that their newcomers need.
  'words_hold_slots|crowding_test|gateway/session/crowding.cc|s{ctx\.table\.leaving\(\) < kLeavingSlots \K/ 2}{* 2}'
  # The wait for each block of a slow reader begins from nothing.
  'waits_forgotten|slow_reader_test|gateway/session/taking.cc|s{std::min<uint32_t>\(\KWaitedMs\(ctx\.now, taking\)}{0 * WaitedMs(ctx.now, taking)}'
  # Nobody looks whether a side that is not received from was reset.
  'reset_unseen|slow_reader_test|gateway/session/stages/relaying.cc|s{Unheard\(session\)\.CheckWhole\(ctx, session\.ref\(\)\);}{(void)Unheard(session);}'
  # Memory is short, and a light session goes before a heavy one.
  'light_goes_first|relief_test|gateway/session/relief.cc|s{std::min\(ms, kSurelyStuckMs\)}{ms}'
  # What has been consumed of a block moves to the larger one instead of what waits.
  'stash_from_front|stash_test|gateway/session/block.cc|s{std::memcpy\(larger\.data, block\.data\K \+ block\.begin}{}'
  # The gateway closes with octets of the client unread, which resets the connection.
  'skipped_linger|deadline_test|gateway/session/stages/ending.cc|s{client\.has\(kOpShutdown\) \? Stay\(\) : \KEnter\(StageId::kLingering\)}{EndNow(session.reason)}'
)

names() { printf '%s\n' "${MUTATIONS[@]}" | cut -d'|' -f1 | uniq; }

# The lines of one mutation.
lines_of() {
  local mutation
  for mutation in "${MUTATIONS[@]}"; do
    if [ "${mutation%%|*}" = "$1" ]; then printf '%s\n' "$mutation"; fi
  done
}

# Three in turn, by the day of the year.
sample() {
  local all first i
  mapfile -t all < <(names)
  first=$((10#$(date +%j) * 3))
  for i in 0 1 2; do printf '%s\n' "${all[(first + i) % ${#all[@]}]}"; done
}

fail() {
  printf 'FAILED  %s: %s\n' "$1" "$2"
  failed=$((failed + 1))
}

# A change must have exactly one place. The first of a mutation must not hide the next.
check() {
  local name mutation file code found bad
  while read -r name; do
    bad=
    while IFS='|' read -r _ _ file code; do
      found=$(perl -0777 -ne "\$n = (${code}g) || 0; print \$n" "$top/$file") || found='no'
      [ "$found" = 1 ] || bad="$found places in $file, expected 1"
    done < <(lines_of "$name")
    if [ -n "$bad" ]; then fail "$name" "$bad"; else passed=$((passed + 1)); fi
  done < <(names)
}

cleanup() {
  bazel --output_base="$work/base" shutdown >/dev/null 2>&1 || true
  chmod -R u+w "$work" && rm -rf "$work"
}

copy_tree() {
  mkdir "$work/tree"
  (cd "$top" && tar -c --exclude=./.git --exclude=./.deps --exclude='./bazel-*' .) |
    tar -x -C "$work/tree"
  ln -s "$top/.deps" "$work/tree/.deps"
}

build() {  # build TEST...
  (cd "$work/tree" && bazel --output_base="$work/base" build --config=opt "${@/#///tests/sim:}") \
    >"$work/build.log" 2>&1 </dev/null
}

# The braces: nobody wants to read from bash that a test was aborted.
run() {  # run TEST SEEDS
  {
    (cd "$work/tree" && SIM_SEEDS=$2 timeout 900 "bazel-bin/tests/sim/$1") >"$work/run.log" 2>&1 </dev/null
  } 2>/dev/null
}

# What the test says: what happened in a seed, or else an assertion or the first failure.
finding() {
  local text
  text=$(grep -m1 -A1 '^seed ' "$work/run.log") || text=$(grep -m1 'Assertion' "$work/run.log") ||
    text=$(grep -m1 -A1 ': Failure$' "$work/run.log") || text='ended without a word'
  tr -s ' \n' ' ' <<<"$text"
}

# Puts the mistake in, expects its test to fail, and takes the mistake out.
try() {
  local name=$1 began=$SECONDS lines line test file code
  mapfile -t lines < <(lines_of "$name")
  for line in "${lines[@]}"; do
    IFS='|' read -r _ test file code <<<"$line"
    perl -0777 -pi -e "$code" "$work/tree/$file"
  done
  if ! build "$test"; then
    fail "$name" 'does not build'
    tail -20 "$work/build.log"
  elif run "$test" "$seeds"; then
    fail "$name" "$test did not notice it (with $seeds seeds, where it has any)"
  else
    printf 'caught  %s by %s in %s s: %s\n' "$name" "$test" $((SECONDS - began)) "$(finding)"
    passed=$((passed + 1))
  fi
  for line in "${lines[@]}"; do
    IFS='|' read -r _ _ file _ <<<"$line"
    cp "$top/$file" "$work/tree/$file"
  done
}

try_all() {
  local name test
  printf 'trying %s\n' "$*"
  copy_tree
  while read -r test; do
    build "$test" || { tail -20 "$work/build.log"; exit 1; }
    run "$test" 20 || { tail -20 "$work/run.log"; fail 'no mistake' "$test fails"; return; }
  done < <(for name in "$@"; do lines_of "$name"; done | cut -d'|' -f2 | sort -u)
  printf 'built in %s s\n' "$SECONDS"
  for name in "$@"; do try "$name"; done
}

wanted=()
case ${1:-} in
  --check) ;;
  --sample) mapfile -t wanted < <(sample) ;;
  '') mapfile -t wanted < <(names) ;;
  *) wanted=("$@") ;;
esac
for name in "${wanted[@]}"; do [ -n "$(lines_of "$name")" ] || fail "$name" 'no such mutation'; done
check
if [ ${#wanted[@]} -gt 0 ] && [ "$failed" = 0 ]; then
  passed=0
  work=$(mktemp -d "${TMPDIR:-/tmp}/starling-mutations.XXXXXX")
  trap cleanup EXIT
  try_all "${wanted[@]}"
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
