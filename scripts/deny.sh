#!/usr/bin/env bash
# Licences, bans and sources of every dependency, always; advisories where their database can be had. Says which ran.
#
# A network without the advisory database isn't a failure. An advisory that was found is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! cargo deny --version >/dev/null 2>&1; then
  echo "deny: cargo-deny isn't installed: run make deps" >&2
  exit 1
fi

# In CI the committed lock file must be complete; a check that mended it would hide that from the stages after it.
LOCKED=()
[ -z "${CI:-}" ] || LOCKED=(--locked)

rc=0
cargo deny ${LOCKED[@]+"${LOCKED[@]}"} check bans licenses sources || rc=1

# git must not ask for a name or hang on a network that swallows packets.
export GIT_TERMINAL_PROMPT=0
if fetched=$(timeout 120 cargo deny fetch db 2>&1 </dev/null); then
  cargo deny ${LOCKED[@]+"${LOCKED[@]}"} --offline check advisories || rc=1
  echo "deny: ran bans, licenses, sources, advisories"
else
  echo "deny: ran bans, licenses, sources"
  echo "deny: did NOT run advisories: their database couldn't be fetched ($(grep -v '^ *$' <<<"$fetched" | tail -n 1))"
fi
exit "$rc"
