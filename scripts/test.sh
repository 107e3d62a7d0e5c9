#!/usr/bin/env bash
# Every check of the repository, as stages. A failed stage doesn't stop the ones after it, so that one run reports all.
# Ends with a table of the stages and the line `N passed, N failed`, counted over all of cargo's test results.
#
# It never retries and never passes by skipping: no test executed is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly LOGS=$TARGET/test-logs
readonly DEMO_SEED=7
# In CI the committed lock file must be complete, and nothing may hang until the machine is taken away.
LOCKED=()
[ -z "${CI:-}" ] || LOCKED=(--locked)
# A clean checkout is built once, so what cargo keeps for the next build is only in the way there: it is three quarters of the disk.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0
export CARGO_TERM_COLOR=never

mkdir -p "$LOGS"
rm -f "$LOGS"/*.log

names=() results=() seconds=()
red=0

# stage NAME LIMIT COMMAND…: runs it, shows and keeps what it prints, records how long it took. LIMIT (seconds) counts in CI only.
stage() {
  local name=$1 limit=$2 began=$SECONDS rc=0
  shift 2
  [ -z "${CI:-}" ] || set -- timeout --kill-after=10 "$limit" "$@"
  printf '\n=== %s: %s\n' "$name" "$*"
  "$@" </dev/null 2>&1 | tee "$LOGS/$name.log" || rc=$?
  record "$name" "$((SECONDS - began))" "$rc"
  return "$rc"
}

record() {
  local name=$1 took=$2 rc=$3 result=ok
  case "$rc" in
    0) ;;
    124 | 137) result="FAILED (took too long or was killed, exit $rc)" ;;
    *) result="FAILED (exit $rc)" ;;
  esac
  [ "$rc" -eq 0 ] || red=1
  names+=("$name") results+=("$result") seconds+=("$took")
  printf '=== %s: %s, %s s\n' "$name" "$result" "$took"
}

not_run() {
  red=1
  names+=("$1") results+=("NOT RUN ($2)") seconds+=(0)
}

# How long each crate's tests took, out of what cargo printed: its names of test binaries begin with the crate's or the test's.
time_tests() {
  local log=$LOGS/test.log
  [ -f "$log" ] || return 0
  printf '\n%-34s %7s %7s\n' 'test binary' tests seconds
  awk '
    /^ *Running / { name = $2 == "unittests" ? $NF : $2 " " $NF; sub(/.*deps\//, "", name); sub(/-[0-9a-f]+\)$/, "", name) }
    /^ *Doc-tests / { name = "doc-tests " $2 }
    /^test result:/ && name != "" {
      for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) tests = $i; if ($i == "in") took = $(i + 1) }
      sub(/s$/, "", took)
      if (tests > 0) printf "%-34s %7d %7.1f\n", name, tests, took
      name = ""
    }
  ' "$log" | sort -k3,3nr -k1,1 | head -n 25
}

# Adds up cargo's result lines. Sets passed, failed, ignored and binaries.
count_tests() {
  passed=0 failed=0 ignored=0 binaries=0
  local log=$LOGS/test.log p f i red_binaries=0 red_targets
  [ -f "$log" ] || return 0
  while read -r p f i; do
    passed=$((passed + p)) failed=$((failed + f)) ignored=$((ignored + i)) binaries=$((binaries + 1))
    [ "$f" -eq 0 ] || red_binaries=$((red_binaries + 1))
  done < <(sed -nE 's/.*test result: [a-zA-Z]+\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored;.*/\1 \2 \3/p' "$log")
  # A test binary that died (abort, stack overflow, exit in the middle) prints no result line: it counts as one failed test.
  red_targets=$(sed -nE 's/^error: ([0-9]+) targets? failed:$/\1/p' "$log" | tail -n 1)
  if [ "${red_targets:-0}" -gt "$red_binaries" ]; then
    failed=$((failed + red_targets - red_binaries))
    echo "$((red_targets - red_binaries)) test binaries died without a result; each counts as one failed test"
  fi
  # Stopped by the limit, or it didn't compile: nobody may read that as "0 failed".
  if [ "$tests_rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
    echo "cargo test failed (exit $tests_rc) without naming a failed test, which counts as one"
  fi
}

began_all=$SECONDS
tests_rc=0

stage deps 900 scripts/deps.sh || true
stage fmt 120 cargo fmt --all --check || true
stage deny 600 scripts/deny.sh || true
stage clippy 1800 cargo clippy ${LOCKED[@]+"${LOCKED[@]}"} --workspace --all-targets -- -D warnings || true
if stage build 2400 cargo build ${LOCKED[@]+"${LOCKED[@]}"} --workspace --all-targets; then
  # The servers are started once, and every test makes a database of its own there.
  stage test 2400 "$TARGET/debug/earnest-harness" postgres mariadb -- \
    cargo test ${LOCKED[@]+"${LOCKED[@]}"} --workspace --no-fail-fast || tests_rc=$?
  if [ -f examples/payments/Cargo.toml ]; then
    stage demo 300 "$TARGET/debug/payments-demo" --seed "$DEMO_SEED" || true
  fi
else
  not_run test "the build failed"
  if [ -f examples/payments/Cargo.toml ]; then not_run demo "the build failed"; fi
fi

printf '\n=== summary\n'
printf '%-8s %7s  %s\n' stage seconds result
for n in "${!names[@]}"; do
  printf '%-8s %7s  %s\n' "${names[$n]}" "${seconds[$n]}" "${results[$n]}"
done
printf '%-8s %7s\n\n' total "$((SECONDS - began_all))"

time_tests
count_tests
echo "$binaries test binaries and doc-test runs, $ignored tests ignored; logs in $LOGS"
echo "disk: $(du -sh "$TARGET" | cut -f1) in $TARGET, $(df -h --output=avail "$TARGET" | tail -n 1 | tr -d ' ') free"
if [ "$((passed + failed))" -eq 0 ]; then
  echo "No test was executed, which is a failure."
  red=1
fi
[ "$failed" -eq 0 ] || red=1
[ "$red" -eq 0 ] && echo "All stages passed." || echo "Something FAILED: see the table above."
echo "$passed passed, $failed failed"
exit "$red"
