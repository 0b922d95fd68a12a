#!/usr/bin/env bash
# Runs all tests, also from a clean clone on a fresh Debian 12. Needs root, because the
# end-to-end tests start Postfix. The last line is "N passed, N failed".
#
#   deploy/test/test.sh           everything
#   deploy/test/test.sh STEP...   some of: format needs lint unit mutation_sample asan tsan fuzz
#                            e2e bench demo; and four steps that are not part of "all":
#                            mutations and epoll, which take long, clients, which needs the
#                            registries of five languages, and arm64, which is the second half of
#                            deploy/build-arm64.sh test
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

passed=0
failed=0
log_folder=$(mktemp -d)
trap 'rm -rf "$log_folder"' EXIT

headline() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }

count() {  # count RESULT NAME
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n' "$2"
  fi
}

# Runs Bazel tests. Each target counts; a run that builds nothing is a failure.
bazel_tests() {  # bazel_tests NAME ARGUMENT...
  local name=$1 log=$log_folder/$1 result good bad
  shift
  bazel test --keep_going --noshow_progress --color=no "$@" >"$log" 2>&1
  result=$?
  good=$(grep -cE '^//[^ ]+ .*(PASSED|\(cached\) PASSED)' "$log")
  bad=$(grep -cE '^//[^ ]+ .*(FAILED|TIMEOUT|NO STATUS)' "$log")
  passed=$((passed + good))
  failed=$((failed + bad))
  if [ "$result" != 0 ] || [ "$good" = 0 ]; then
    grep -vE '^(INFO|Loading|Analyzing)' "$log" | tail -n 200
    [ "$bad" != 0 ] || count 1 "$name: bazel ended with status $result"
  fi
  printf '%s: %s targets passed, %s failed\n' "$name" "$good" "$bad"
}

# Adds the numbers of a log's last line "N passed, N failed".
take_result() {  # take_result NAME LOG
  local line
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$2" | tail -n 1)
  if [ -z "$line" ]; then
    count 1 "$1: no result"
    return
  fi
  passed=$((passed + $(printf '%s' "$line" | sed -E 's/^([0-9]+) passed.*/\1/')))
  failed=$((failed + $(printf '%s' "$line" | sed -E 's/.* ([0-9]+) failed.*/\1/')))
}

sources() { git ls-files '*.cc' '*.h'; }

step_format() {
  sources | xargs clang-format-19 --dry-run -Werror
  count $? "clang-format"
  git ls-files '*.sh' .ci/run | xargs shellcheck
  count $? "shellcheck"
}

# Checks that set-up names a package for everything that scripts and tests use.
step_needs() {
  tests/needs/check.py
  count $? "needs"
  tests/needs/test_check.py
  count $? "needs: its own tests"
}

step_lint() {
  deploy/test/includes.py
  count $? "includes"
  deploy/test/test_includes.py
  count $? "includes: its own tests"
  tests/sim/mutations.sh --check
  count $? "mutations: the place of each"
  git ls-files 'gateway/*.cc' 'protocols/*.cc' | grep -vE '_(test|fuzz)\.cc$' |
    xargs -P 2 -n 6 deploy/build/clang_tidy.sh
  count $? "clang-tidy"
  # No two files of the session's folder call each other, even through a third.
  deploy/test/calls.py
  count $? "calls"
}

step_unit() { bazel_tests unit --config=opt //...; }

# Puts mistakes into a copy of the tree, which the simulation must notice: three others each
# day, or all.
step_mutation_sample() { mutations_run --sample; }
step_mutations() { mutations_run; }

mutations_run() {  # mutations_run ARGUMENT...
  local log=$log_folder/mutations
  tests/sim/mutations.sh "$@" 2>&1 | tee "$log"
  take_result mutations "$log"
}

step_asan() { bazel_tests asan --config=asan //protocols/... //gateway/... //tests/sim/...; }
step_tsan() { bazel_tests tsan --config=tsan //gateway/...; }
# Runs each fuzz target from its corpus for a few seconds, and prints its findings.
step_fuzz() {
  local log=$log_folder/fuzz target name found
  if ! bazel build --config=fuzz --build_tag_filters=fuzz --noshow_progress --color=no //... >"$log" 2>&1; then
    cat "$log"
    count 1 "fuzz: build"
    return
  fi
  for target in $(bazel query --noshow_progress 'attr(tags, "\bfuzz\b", //...)' 2>/dev/null); do
    name=${target##*:}
    found=$log_folder/found_$name
    mkdir -p "$found"
    target=${target#//}
    "bazel-bin/${target/://}" -max_total_time="${FUZZ_SECONDS:-5}" -max_len=4096 -artifact_prefix="$found/" \
      "$found" "tests/corpus/${name%_fuzz}" >"$log" 2>&1
    count $? "fuzz: $name"
    grep -q 'ERROR\|SUMMARY' "$log" && cat "$log"
    tail -n 1 "$log" | sed "s/^/$name: /"
  done
}

e2e_run() {  # e2e_run NAME FILE...: runs these files, or all
  local log=$log_folder/e2e name=$1
  shift
  tests/e2e/run.py "$@" 2>&1 | tee "$log"
  take_result "$name" "$log"
}

build_gateway() {
  local log=$log_folder/build
  bazel build --config=opt --noshow_progress --color=no //gateway:starling >"$log" 2>&1 || cat "$log"
}

# Runs all files with all features of this kernel. Then runs those that transfer data
# without the features that the oldest supported kernel lacks, and some on epoll.
step_e2e() {
  build_gateway
  e2e_run e2e
  STARLING_RING_FEATURES=none e2e_run "e2e without features" \
    test_main_job.py test_clients.py test_identity.py test_drain.py
  STARLING_IO=epoll e2e_run "e2e on epoll" \
    test_main_job.py test_identity.py test_attack_matrix.py test_drain.py test_limits.py
}

# Runs on epoll all files that move octets, drain, reload or attack: all but those about what the
# gateway reads, says and prints, and about which TLS it speaks.
step_epoll() {
  local files
  build_gateway
  mapfile -t files < <(git ls-files 'tests/e2e/test_*.py' | grep -vE \
    'test_(certificates|client_certificates|config|fail2ban|io|metrics_port|observe|policy|probes|readme|recipes|resumption|scanners|tls_metrics|upstream_tls)\.py$')
  STARLING_IO=epoll e2e_run epoll "${files[@]}"
}

# Client libraries of five languages. Not a default step, because continuous integration has
# no time for it. tests/README.md has the last result.
step_clients() {
  build_gateway
  tests/clients/install.sh || { count 1 "clients: install"; return; }
  e2e_run clients tests/clients/test_*.py
}

# Runs in an emulator what deploy/build-arm64.sh has built: the unit tests of what reads octets,
# the ring on epoll, and the whole gateway between real clients and servers of this machine. Not a
# default step, because it builds everything once more. tests/README.md has the last result.
step_arm64() {
  local emulator program=$log_folder/starling
  emulator="$(command -v qemu-aarch64-static) -L $PWD/.deps/arm64"
  # Objects as for the release, so that they need not be built twice. Optimizing each test at its
  # link would take minutes.
  bazel_tests arm64 --config=release --config=arm64 --linkopt=-Wl,--lto-O0,--lto-CGO0 \
    --run_under="$emulator" --test_timeout=900 --build_tests_only \
    //protocols/... //gateway/config/... //gateway/tls/... //gateway/io/epoll/... \
    //gateway/io:buffer_pool_test //gateway/io/uring:uring_probe_test
  printf '#!/bin/sh\nexec %s %s "$@"\n' "$emulator" "$PWD/bazel-arm64-bin/gateway/starling" >"$program"
  chmod 755 "$log_folder" "$program"
  STARLING_BINARY=$program e2e_run "arm64 end to end" tests/arm64/test_emulated.py test_main_job.py
}

# Runs every workload of the comparison with every server for an instant, without measuring.
step_bench() {
  bench/compare.py --check
  count $? "bench"
  bench/ftp_data.py --octets 200000000 --rounds 1
  count $? "bench: ftp_data"
  bench/outages.py --seconds 1 --illness "accepts and closes" "the only one closes"
  count $? "bench: outages"
}

step_demo() {
  deploy/demo.sh --check
  count $? "demo"
}

deploy/setup/setup.sh test || { printf '0 passed, 1 failed\n'; exit 1; }
[ $# -gt 0 ] || set -- format needs lint unit mutation_sample asan tsan fuzz e2e bench demo
for step in "$@"; do
  headline "$step"
  "step_$step"
done
printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
