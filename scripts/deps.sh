#!/usr/bin/env bash
# Puts in place what the build and the checks need, and says what it does. Running it again changes nothing.
#
#   scripts/deps.sh            everything that `make test` needs
#   scripts/deps.sh toolchain  only what a build needs (`make demo`, `make build`)
#   scripts/deps.sh postgres   only PostgreSQL (`make demo STORE=postgres`); arguments may be given together
#
# It installs from the usual registries only, never removes or replaces what a person installed, and starts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly CARGO_DENY_VERSION=0.20.2

say() { printf 'deps: %s\n' "$*"; }
die() {
  printf 'deps: %s\n' "$*" >&2
  exit 1
}

apt_fresh=no

# Builds of tools go here and are removed however this ends.
SCRATCH=
clean_up() { [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The words that make a command root's; empty for root itself.
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo -n)

# Whether this shell may install; otherwise says which line to run, and ends.
may_install() {
  local what=$1 packages=$2
  if ! command -v apt-get >/dev/null 2>&1; then
    die "$what is missing, and this isn't Debian: install what Debian calls $packages, then run make deps again"
  fi
  if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
    die "$what is missing. Run this line, then make deps again:
  sudo apt-get update && sudo apt-get install --yes --no-install-recommends $packages"
  fi
}

install_packages() {
  if [ "$apt_fresh" = no ]; then
    say "apt-get update"
    ${root[@]+"${root[@]}"} apt-get update -qq </dev/null
    apt_fresh=yes
  fi
  ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends -qq "$@" </dev/null
}

# need_apt PKG CMD: the command CMD is there, or Debian's package PKG brings it.
need_apt() {
  local package=$1 command=$2
  if command -v "$command" >/dev/null 2>&1; then
    say "$command: there"
    return
  fi
  may_install "$command" "$package"
  say "$command: installing $package"
  install_packages "$package"
}

# The toolchain that rust-toolchain.toml pins, with rustfmt and clippy.
need_toolchain() {
  local channel have
  channel=$(sed -n 's/^channel *= *"\(.*\)".*/\1/p' rust-toolchain.toml)
  [ -n "$channel" ] || die "rust-toolchain.toml names no channel"
  if ! command -v cargo >/dev/null 2>&1; then
    die "cargo isn't on the PATH. Install Rust with rustup (https://rustup.rs), open a new shell, then run make deps again"
  fi
  if command -v rustup >/dev/null 2>&1; then
    if toolchain_complete "$channel"; then
      say "Rust $channel with rustfmt and clippy: there"
    else
      say "Rust $channel with rustfmt and clippy: installing with rustup"
      rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy --no-self-update
    fi
    return
  fi
  have=$(cargo --version | cut -d' ' -f2)
  if [ "$have" != "$channel" ]; then
    die "this repository is built with Rust $channel, and here is $have without rustup. Install rustup (https://rustup.rs)"
  fi
  cargo fmt --version >/dev/null 2>&1 || die "cargo fmt is missing: install rustfmt for Rust $channel"
  cargo clippy --version >/dev/null 2>&1 || die "cargo clippy is missing: install clippy for Rust $channel"
  say "Rust $channel with rustfmt and clippy: there"
}

# Asks for the list of toolchains first: running one that isn't there may install it silently, without its components.
toolchain_complete() {
  local channel=$1
  case " $(rustup toolchain list 2>/dev/null | tr '\n' ' ')" in
    *" $channel-"*) ;;
    *) return 1 ;;
  esac
  rustup run "$channel" cargo fmt --version >/dev/null 2>&1 &&
    rustup run "$channel" cargo clippy --version >/dev/null 2>&1
}

# The databases that tests run on. Only their programs are wanted: tests start servers of their own on free ports, so what the
# packages would start is kept from starting, or stopped again.
need_postgres() {
  local conf=/etc/postgresql-common/createcluster.conf
  if [ -n "${EARNEST_TEST_POSTGRES_URL:-}" ]; then
    say "PostgreSQL: EARNEST_TEST_POSTGRES_URL names a server"
  elif ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; then
    say "PostgreSQL: there"
  else
    may_install PostgreSQL postgresql
    say "PostgreSQL: installing postgresql, without the server that it would start"
    install_packages postgresql-common
    ${root[@]+"${root[@]}"} sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' "$conf"
    install_packages postgresql
  fi
}

need_mariadb() {
  if [ -n "${EARNEST_TEST_MYSQL_URL:-}" ]; then
    say "MariaDB: EARNEST_TEST_MYSQL_URL names a server"
  elif command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ]; then
    say "MariaDB: there"
  else
    may_install MariaDB mariadb-server
    say "MariaDB: installing mariadb-server"
    install_packages mariadb-server
    if [ -d /run/systemd/system ]; then
      say "MariaDB: stopping the server that the package started"
      ${root[@]+"${root[@]}"} systemctl disable --now --quiet mariadb
    fi
  fi
}

# The licence and source checks. Another version that a person installed is used as it is.
need_cargo_deny() {
  local have rc=0
  if have=$(cargo deny --version 2>/dev/null); then
    have=${have##* }
    if [ "$have" = "$CARGO_DENY_VERSION" ]; then
      say "cargo-deny $have: there"
    else
      say "cargo-deny $have: there (deny.toml is written for $CARGO_DENY_VERSION; if it is refused: cargo install cargo-deny --locked --version $CARGO_DENY_VERSION)"
    fi
    return
  fi
  say "cargo-deny $CARGO_DENY_VERSION: building it, which takes a few minutes"
  # Its release profile is fat LTO in one unit, which takes far longer to build than it saves here.
  SCRATCH=$(mktemp -d)
  CARGO_TARGET_DIR="$SCRATCH" \
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install cargo-deny --locked --version "$CARGO_DENY_VERSION" || rc=$?
  [ "$rc" -eq 0 ] || die "cargo-deny couldn't be built: see above. (A network that reaches the crate registry is needed.)"
}

[ $# -gt 0 ] || set -- toolchain postgres mariadb openssl cargo-deny
for part in "$@"; do
  case "$part" in
    toolchain)
      need_apt gcc cc
      need_toolchain
      ;;
    postgres) need_postgres ;;
    mariadb) need_mariadb ;;
    openssl) need_apt openssl openssl ;; # certificates for the servers that tests start
    cargo-deny) need_cargo_deny ;;
    *) die "unknown argument '$part': use nothing, or some of: toolchain postgres mariadb openssl cargo-deny" ;;
  esac
done
