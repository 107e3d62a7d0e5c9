#!/usr/bin/env bash
# Builds the image, runs docker-compose.yml under a project name of its own, and sees it do what docs/docker.md says:
# without a password it refuses, both coordinators serve what one of them took, neither a killed coordinator nor a restarted
# database loses anything, a stop drains, and the containers can do no more than they should.
#
# Needs a Docker engine with compose 2, curl, and the ports 7450 and 7451. What it started it removes, volumes too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

A=http://127.0.0.1:7450
B=http://127.0.0.1:7451
KEPT=$(mktemp -d)
compose() { docker compose --project-name earnest-check --env-file "$KEPT/env" "$@"; }
say() { printf 'compose-check: %s\n' "$*"; }
fail() {
  printf 'compose-check: FAILED: %s\n' "$*" >&2
  [ ! -s "$KEPT/env" ] || compose logs --tail 50 >&2 || true
  exit 1
}
finish() {
  [ ! -s "$KEPT/env" ] || compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$KEPT"
}
trap finish EXIT

docker compose version >/dev/null 2>&1 || fail "docker compose isn't there: install a Docker engine and compose 2"
docker info >/dev/null 2>&1 || fail "no Docker engine answers: start one, or set DOCKER_HOST"
for at in "$A" "$B"; do
  ! curl -s -o /dev/null "$at/healthz" || fail "something listens at $at already: stop it first (docker compose down)"
done

# What `docker inspect` says of a service's container.
of() { docker inspect --format "$2" "$(compose ps --all --quiet "$1")"; }
call() { curl -sS --fail-with-body --max-time 10 -H 'Content-Type: application/json' "$@"; }
# A transaction's phase, as one coordinator sees it.
phase() { call "$1/v1/transactions/$2" | sed -E 's/.*"phase": *"([A-Z_]+)".*/\1/'; }
new_id() {
  local t r
  t=$(printf %012x "$(date +%s%3N)")
  r=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
  sed -E 's/(.{8})(.{4})(.{3})(.{3})(.{12})/\1-\2-7\3-8\4-\5/' <<<"$t$r"
}
# Tries until the command succeeds, for so many seconds.
within() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.2
  done
}
ready() { curl -sf --max-time 2 "$1/readyz"; }
unready() { [ "$(curl -s --max-time 2 -o /dev/null -w '%{http_code}' "$1/readyz")" = 503 ]; }
prepare() {
  call "$1/v1/transactions" -d '{"id": "'"$2"'", "initiator": "cashier",
    "options": {"check_after_ms": 600000, "allow_no_subscription": true},
    "messages": [{"topic": "order.placed", "payload": {"order": 7}}]}' >/dev/null
}
confirm() { call -X POST "$1/v1/transactions/$2/confirm" -d '{"initiator": "cashier"}' >/dev/null; }
is() { [ "$(phase "$1" "$2")" = "$3" ] || fail "at $1, $2 is $(phase "$1" "$2") instead of $3"; }

say "without a password compose refuses, and says what to do"
if said=$(env -u DATABASE_PASSWORD docker compose --env-file /dev/null config 2>&1 >/dev/null); then
  fail "compose took a missing password"
fi
grep -q 'DATABASE_PASSWORD=' <<<"$said" || fail "compose doesn't say what is missing: $said"

say "build the image and start PostgreSQL and two coordinators, until all are healthy"
(umask 077; echo "DATABASE_PASSWORD=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >"$KEPT/env")
compose up --build --wait --wait-timeout 120 || fail "not healthy"
for at in "$A" "$B"; do ready "$at" >/dev/null || fail "$at isn't ready"; done

say "no root, no capability, nothing to write, loopback alone"
for node in coordinator-a coordinator-b; do
  status=$(compose exec --no-TTY "$node" cat /proc/1/status)
  grep -qE '^Uid:[[:space:]]10001[[:space:]]10001[[:space:]]10001[[:space:]]10001$' <<<"$status" || fail "$node runs as another user: $status"
  grep -qE '^CapEff:[[:space:]]0+$' <<<"$status" || fail "$node has capabilities: $status"
  grep -qE '^CapBnd:[[:space:]]0+$' <<<"$status" || fail "$node could get capabilities: $status"
  grep -qE '^NoNewPrivs:[[:space:]]1$' <<<"$status" || fail "$node could get privileges: $status"
  ! compose exec --no-TTY "$node" touch /usr/local/bin/anything 2>/dev/null || fail "$node can write into its image"
  ! compose exec --no-TTY --user 0 "$node" touch /usr/local/bin/anything 2>/dev/null || fail "root can write into $node's image"
  case $(compose port "$node" 7450) in 127.0.0.1:*) ;; *) fail "$node is published at $(compose port "$node" 7450)" ;; esac
done
[ -z "$(docker port "$(compose ps --quiet postgres)")" ] || fail "PostgreSQL is published"
! compose logs 2>&1 | grep -qF "$(cut -d= -f2 "$KEPT/env")" || fail "the logs have the password"

say "one coordinator prepares, the other confirms"
FIRST=$(new_id)
prepare "$A" "$FIRST"
is "$B" "$FIRST" PREPARED
confirm "$B" "$FIRST"
for at in "$A" "$B"; do [ "$(phase "$at" "$FIRST")" != PREPARED ] || fail "$at doesn't see the confirmation"; done

say "one coordinator is killed, the other goes on"
SECOND=$(new_id)
prepare "$A" "$SECOND"
compose kill coordinator-a >/dev/null 2>&1
confirm "$B" "$SECOND"
compose start coordinator-a >/dev/null 2>&1
within 30 ready "$A" || fail "coordinator-a doesn't come back"
[ "$(phase "$A" "$SECOND")" = "$(phase "$B" "$SECOND")" ] || fail "the coordinators disagree about $SECOND"

say "PostgreSQL stops: both are unready at once, and by themselves ready again after it"
THIRD=$(new_id)
prepare "$B" "$THIRD"
started=$(of coordinator-a '{{.State.StartedAt}}')
compose stop postgres >/dev/null 2>&1
[ "$(of postgres '{{.State.ExitCode}}')" = 0 ] || fail "PostgreSQL was not shut down cleanly: $(of postgres '{{.State.ExitCode}}')"
for at in "$A" "$B"; do within 15 unready "$at" || fail "$at says it is ready without its database"; done
compose start postgres >/dev/null 2>&1
for at in "$A" "$B"; do within 30 ready "$at" || fail "$at doesn't become ready again"; done
[ "$(of coordinator-a '{{.State.StartedAt}}')" = "$started" ] || fail "coordinator-a was restarted for its database"
is "$A" "$THIRD" PREPARED
confirm "$A" "$THIRD"

say "a stop drains, and ends with 0"
compose stop coordinator-a coordinator-b >/dev/null 2>&1
for node in coordinator-a coordinator-b; do
  [ "$(of "$node" '{{.State.ExitCode}}')" = 0 ] || fail "$node ended with $(of "$node" '{{.State.ExitCode}}')"
done

say "down and up again: everything is there"
compose down >/dev/null 2>&1
compose up --wait --wait-timeout 120 >/dev/null 2>&1 || fail "not healthy after down and up"
for id in "$FIRST" "$SECOND" "$THIRD"; do
  found=$(phase "$A" "$id")
  [ "$found" != PREPARED ] && [ "$found" = "$(phase "$B" "$id")" ] || fail "$id is $found after down and up"
done

say "a single container over a file, read-only: prepares, is stopped and replaced, still knows"
compose down >/dev/null 2>&1
docker volume create earnest-check-file >/dev/null
single() {
  docker run --detach --name earnest-check-single --read-only --cap-drop ALL --tmpfs /tmp \
    -v earnest-check-file:/var/lib/earnest -p 127.0.0.1:7450:7450 earnest:local >/dev/null
}
finish_single() { docker rm --force earnest-check-single >/dev/null 2>&1; docker volume rm earnest-check-file >/dev/null 2>&1; }
trap 'finish_single; finish' EXIT
single
within 30 ready "$A" || { docker logs earnest-check-single >&2; fail "the single coordinator isn't ready"; }
FOURTH=$(new_id)
prepare "$A" "$FOURTH"
docker stop --time 30 earnest-check-single >/dev/null
[ "$(docker inspect --format '{{.State.ExitCode}}' earnest-check-single)" = 0 ] || fail "the single coordinator didn't end with 0"
docker rm earnest-check-single >/dev/null
single
within 30 ready "$A" || { docker logs earnest-check-single >&2; fail "the single coordinator isn't ready again"; }
is "$A" "$FOURTH" PREPARED

say "all held ($(docker image inspect --format '{{.Size}}' earnest:local | awk '{ printf "%.0f MB", $1 / 1e6 }') image)"
