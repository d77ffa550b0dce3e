# Everything that a newcomer types. `make` alone lists it.

CARGO ?= cargo
# Tests wait for servers most of the time.
THREADS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.PHONY: help demo test check fuzz bench images clean

help: ## list what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{ printf "make %-8s %s\n", $$1, $$2 }'

demo: ## build, and rehearse the bundled outage: the main job (it ends in FAIL: that is what it shows)
	@tests/prepare demo
	$(CARGO) build --release --locked
	@target/release/thirdrun demo; status=$$?; [ $$status = 1 ] || exit $$status

test: ## all tests, on every backend that this machine has
	@tests/prepare test
	$(CARGO) test --locked -- --test-threads $(THREADS)

check: ## format and lints
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if command -v shellcheck >/dev/null; then shellcheck -x recipes/github images/build tests/prepare tests/schemas/fetch benches/run benches/clones benches/points benches/scripts fuzz/run .ci/run; fi
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; fi

fuzz: ## hostile input for everything that parses: 10 minutes for each target, or SECONDS=20
	@fuzz/run $(or $(SECONDS),600)

bench: ## thirdrun against a bare server, side by side
	@tests/prepare test
	$(CARGO) build --release --locked
	@benches/run
	@benches/clones
	@benches/points
	@benches/scripts
	$(CARGO) bench --locked --bench rows
	$(CARGO) bench --locked --bench state
	$(CARGO) bench --locked --bench tap

images: ## build the images of PostgreSQL 13, 15, 17 and 18 from Debian's packages
	images/build

clean: ## remove what was built, the cached clusters of the tests, and what dead sandboxes left
	-@target/release/thirdrun gc
	$(CARGO) clean
