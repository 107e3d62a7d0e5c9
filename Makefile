# `make` alone lists what there is. The two that a newcomer needs: make demo, make test.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

TARGET := $(or $(CARGO_TARGET_DIR),target)
SEED ?=
ARGS ?=

.PHONY: help deps build fmt clippy deny test demo bench doc clean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

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

demo: ## run the payment services, kill them at random moments, check the books; SEED=n repeats a run
	@scripts/deps.sh toolchain
	cargo build -p earnest-coordinator -p payments --bins
	$(TARGET)/debug/payments-demo $(if $(SEED),--seed $(SEED))

bench: ## measure the speed on this machine; ARGS="…" is passed on
	cargo run --release -p earnest-bench -- $(ARGS)

doc: ## build the API documentation into target/doc
	cargo doc --workspace --no-deps

clean: ## remove everything that was built or left by runs
	cargo clean
	rm -rf bench-results demo-data
