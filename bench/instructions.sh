#!/usr/bin/env bash
# Counts the instructions of each micro-benchmark per iteration, to compare commits:
# unlike time, they hardly depend on other load on the machine.
#
#   bench/instructions.sh [PATTERN] >NEW        benchmarks whose PROGRAM/BENCHMARK matches
#   bench/instructions.sh --compare OLD NEW     the changes, in per cent
#
# Uses `perf stat` if the machine supports it, otherwise callgrind. Callgrind counts
# exactly the measured loop, but emulates a processor without AVX-512. perf counts the
# whole process, of which about 1 % is not the loop.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly EVENT=${EVENT:-instructions:u}  # perf's event
readonly REPETITIONS=100                 # many, so that perf's trial runs do not matter

say() { printf 'instructions: %s\n' "$*" >&2; }

compare() {  # compare OLD NEW
  awk 'NR == FNR { before[$1] = $2; next }
       $1 in before && before[$1] > 0 {
         printf "%+7.2f %%  %12.0f  %12.0f  %s\n", ($2 / before[$1] - 1) * 100, before[$1], $2, $1 }
       !($1 in before) { printf "      new  %12s  %12.0f  %s\n", "", $2, $1 }' "$1" "$2"
}

iterations_in() {  # iterations_in JSON: the iterations of its first run
  sed -nE 's/.*"iterations": ([0-9]+).*/\1/p' "$1" | head -n 1
}

run_benchmark() {  # run_benchmark NAME JSON COMMAND...: runs one benchmark with this command
  local name=$1 json=$2
  shift 2
  # Escapes characters of the name that are special in a pattern.
  "$@" --benchmark_filter="^$(printf '%s' "$name" | sed 's/[][().*+?^$|\\]/\\&/g')\$" \
    --benchmark_min_time=0.01 --benchmark_out="$json" --benchmark_out_format=json >/dev/null 2>&1
}

by_perf() {  # by_perf PROGRAM NAME: prints the instructions of all iterations, and their number
  local json=$folder/json counted=$folder/counted
  run_benchmark "$2" "$json" perf stat -x, -o "$counted" -e "$EVENT" -- \
    "$1" --benchmark_repetitions=$REPETITIONS
  printf '%s %s\n' "$(sed -nE 's/^([0-9]+)[.,].*/\1/p' "$counted" | head -n 1)" \
    "$(($(iterations_in "$json") * REPETITIONS))"
}

by_callgrind() {  # by_callgrind PROGRAM NAME: the same
  local json=$folder/json last
  rm -f "$folder"/callgrind.*
  # Debian's valgrind does not understand the debug information of clang 19.
  llvm-strip-19 --strip-debug -o "$folder/program" "$1"
  # The loop runs between these two functions; its last run is the reported one. A slow machine
  # makes that run one iteration long, in which no symbol must be looked up.
  run_benchmark "$2" "$json" env LD_BIND_NOW=1 valgrind --tool=callgrind --callgrind-out-file="$folder/callgrind" \
    --zero-before='benchmark::State::StartKeepRunning()' \
    --dump-before='benchmark::State::FinishKeepRunning()' "$folder/program"
  last=$(find "$folder" -name 'callgrind.*' -printf '%f\n' | sort -t . -k 2 -n | tail -n 1)
  printf '%s %s\n' "$(sed -nE 's/^totals: ([0-9]+).*/\1/p' "$folder/$last")" "$(iterations_in "$json")"
}

if [ "${1:-}" = --compare ]; then
  [ $# = 3 ] || { say "--compare OLD NEW"; exit 2; }
  compare "$2" "$3"
  exit
fi

pattern=${1:-.}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
found=
way=by_callgrind
# Without support perf prints a message, but still ends with 0.
if perf stat -x, -o "$folder/probe" -e "$EVENT" true 2>/dev/null && grep -qE '^[0-9]' "$folder/probe"; then
  way=by_perf
fi
say "$way"

mapfile -t targets < <(bazel query --noshow_progress 'filter("_bench$", kind(cc_binary, //bench:*))' 2>/dev/null)
[ ${#targets[@]} -gt 0 ] || { say "found no benchmark"; exit 1; }
bazel build --config=opt --noshow_progress "${targets[@]}" >&2
for target in "${targets[@]}"; do
  program=bazel-bin/bench/${target##*:}
  while read -r name; do
    [[ ${target##*:}/$name =~ $pattern ]] || continue
    total='' count=''
    read -r total count < <("$way" "$program" "$name") || true
    if [ -z "$total" ] || [ -z "$count" ] || [ "$count" = 0 ]; then
      say "${target##*:}/$name could not be counted"
      exit 1
    fi
    printf '%s %s\n' "${target##*:}/$name" "$((total / count))"
    found=1
  done < <("$program" --benchmark_list_tests)
done
[ -n "$found" ] || { say "no benchmark matches"; exit 1; }
