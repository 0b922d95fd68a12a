#!/usr/bin/env bash
# Counts the instructions of each micro-benchmark for one iteration, to compare one
# commit with another: unlike time, they hardly depend on what else the machine does.
#
#   bench/instructions.sh [PATTERN] >NEW        those whose name PROGRAM/BENCHMARK matches
#   bench/instructions.sh --compare OLD NEW     what has changed, in per cent
#
# By `perf stat` where the machine counts them for a guest, otherwise by callgrind.
# Callgrind counts the measured loop alone, exactly, but on a processor without
# AVX-512; perf counts the process, in which what is not the loop is about 1 %.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly EVENT=${EVENT:-instructions:u}  # what perf counts
readonly REPETITIONS=100                 # so that perf's trial runs vanish among them

say() { printf 'instructions: %s\n' "$*" >&2; }

compare() {  # compare OLD NEW
  awk 'NR == FNR { before[$1] = $2; next }
       $1 in before && before[$1] > 0 {
         printf "%+7.2f %%  %12.0f  %12.0f  %s\n", ($2 / before[$1] - 1) * 100, before[$1], $2, $1 }
       !($1 in before) { printf "      new  %12s  %12.0f  %s\n", "", $2, $1 }' "$1" "$2"
}

iterations_in() {  # iterations_in JSON: of the first run in it
  sed -nE 's/.*"iterations": ([0-9]+).*/\1/p' "$1" | head -n 1
}

run_benchmark() {  # run_benchmark NAME JSON COMMAND...: one benchmark, by that command
  local name=$1 json=$2
  shift 2
  # Its name may have what a pattern takes for more than itself.
  "$@" --benchmark_filter="^$(printf '%s' "$name" | sed 's/[][().*+?^$|\\]/\\&/g')\$" \
    --benchmark_min_time=0.01 --benchmark_out="$json" --benchmark_out_format=json >/dev/null 2>&1
}

by_perf() {  # by_perf PROGRAM NAME: prints instructions of all iterations, and how many those were
  local json=$folder/json counted=$folder/counted
  run_benchmark "$2" "$json" perf stat -x, -o "$counted" -e "$EVENT" -- \
    "$1" --benchmark_repetitions=$REPETITIONS
  printf '%s %s\n' "$(sed -nE 's/^([0-9]+)[.,].*/\1/p' "$counted" | head -n 1)" \
    "$(($(iterations_in "$json") * REPETITIONS))"
}

by_callgrind() {  # by_callgrind PROGRAM NAME: as above
  local json=$folder/json last
  rm -f "$folder"/callgrind.*
  # Debian's valgrind gives up at what clang 19 tells debuggers.
  llvm-strip-19 --strip-debug -o "$folder/program" "$1"
  # The loop lies between these two; the last run of it is the one reported.
  run_benchmark "$2" "$json" valgrind --tool=callgrind --callgrind-out-file="$folder/callgrind" \
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
# Where it is not supported perf says so, and ends with 0 all the same.
if perf stat -x, -o "$folder/probe" -e "$EVENT" true 2>/dev/null && grep -qE '^[0-9]' "$folder/probe"; then
  way=by_perf
fi
say "$way"

mapfile -t targets < <(bazel query --noshow_progress 'filter("_bench$", kind(cc_binary, //bench:*))' 2>/dev/null)
[ ${#targets[@]} -gt 0 ] || { say "there is no benchmark"; exit 1; }
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
