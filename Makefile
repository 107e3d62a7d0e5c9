# `make` alone lists what there is. The two that a newcomer needs: make demo, make test.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

TARGET := $(or $(CARGO_TARGET_DIR),target)
SEED ?=
ARGS ?=
MINUTES ?=
SEEDS ?= 2000
HOURS ?=
STORE ?=
NODES ?=
ROWS ?=
# The server that the demo needs, as scripts/deps.sh and earnest-harness name it.
DEMO_SERVER := $(filter postgres,$(STORE))$(if $(filter mysql,$(STORE)),mariadb)

.PHONY: help deps build fmt clippy deny test demo bench soak sim sim-nightly chaos model compose-check doc clean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## install what the build and the checks need, where it is missing
	@scripts/deps.sh

build: ## build the whole workspace, tests included
	@scripts/deps.sh toolchain
	cargo build --workspace --all-targets

fmt: ## format the code
	cargo fmt --all

clippy: ## lint; a warning is an error
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## check licences, bans, sources and (where possible) advisories of the dependencies
	@scripts/deny.sh

test: ## run every check there is: lints, build, tests, the demo; prints a table
	@scripts/test.sh

demo: ## kill the payment services at random moments, check the books; SEED=n repeats a run, STORE=postgres (or mysql) NODES=2 has two coordinators
	@case "$(STORE)" in ""|sqlite|postgres|mysql) ;; *) \
	  echo "make demo: the demo does not run over '$(STORE)': leave STORE out, or say STORE=postgres or STORE=mysql" >&2; exit 2 ;; esac
	@scripts/deps.sh toolchain $(DEMO_SERVER)
	cargo build -p earnest-coordinator -p payments $(if $(DEMO_SERVER),-p earnest-harness) --bins
	$(if $(DEMO_SERVER),$(TARGET)/debug/earnest-harness $(DEMO_SERVER) -- bash -c 'exec "$$@" --store "$$EARNEST_TEST_$(if $(filter mysql,$(STORE)),MYSQL,POSTGRES)_URL"' demo) \
	  $(TARGET)/debug/payments-demo $(if $(NODES),--nodes $(NODES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: ## measure the speed on this machine (about 6 min.), STORE=postgres or mysql over a server, MODE=tcc branches; ARGS="…" is passed on: --quick, --help
	@scripts/deps.sh toolchain $(filter postgres,$(STORE)) $(if $(filter mysql,$(STORE)),mariadb)
	cargo build --release -p earnest-coordinator -p earnest-bench --bins
	$(TARGET)/release/earnest-bench $(if $(STORE),--store $(STORE)) $(if $(MODE),--mode $(MODE)) $(ARGS)

soak: ## load it for MINUTES=… (10 unless said) and watch its memory; STORE=postgres ROWS=10000000: beside so much history
	@scripts/deps.sh toolchain $(filter postgres,$(STORE)) $(if $(filter mysql,$(STORE)),mariadb)
	cargo build --release -p earnest-coordinator -p earnest-bench --bins
	$(TARGET)/release/earnest-bench $(if $(STORE),--store $(STORE)) \
	  $(if $(ROWS),--history $(ROWS),--soak $(or $(MINUTES),10)) $(ARGS)

sim: ## simulate nodes, services, network and faults; SEEDS=2000 or SEEDS=a..b, HOURS=… is a limit
	@scripts/deps.sh toolchain
	cargo build --release -p earnest-simulation --bins
	$(TARGET)/release/earnest-simulation --jobs 2 --seeds $(SEEDS) $(if $(HOURS),--hours $(HOURS)) $(ARGS)

sim-nightly: ## both levels at their nightly size (some 20 min.); fails where they met too little
	@scripts/deps.sh toolchain
	cargo build --release -p earnest-simulation --bins
	$(TARGET)/release/earnest-simulation --level wire --jobs 2 --seeds 2000 --ops 300 --thorough $(ARGS)
	$(TARGET)/release/earnest-simulation --jobs 2 --seeds 10000 --ops 1200 --thorough $(ARGS)

chaos: ## break real processes, connections and disks, one seed or for MINUTES=…; SEED=n repeats the choices
	@scripts/deps.sh toolchain
	cargo build -p earnest-coordinator -p earnest-chaos --bins
	$(TARGET)/debug/earnest-chaos run $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

model: ## check the protocol's model exhaustively, within larger bounds than the tests do
	@scripts/deps.sh toolchain
	cargo build --release -p earnest-model --bins
	$(TARGET)/release/earnest-model --large --threads 2 $(ARGS)

compose-check: ## run docker-compose.yml and see it kill, restart and keep what was taken; needs a Docker engine
	@scripts/compose-check.sh

doc: ## build the API documentation into target/doc
	cargo doc --workspace --no-deps

clean: ## remove everything that was built or left by runs
	cargo clean
	rm -rf bench-results demo-data
