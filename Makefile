# `make help` lists what there is. It needs Go; with a C compiler, tests run under
# the race detector.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

# What is tested against: make conformance BACKEND=redis
BACKEND ?= redis
# Seeds of the simulation: make sim SEEDS=5000
SEEDS ?= 1000
# Further flags: make bench ARGS='-only queue,turns -rounds 3', make unit ARGS=-count=1
export ARGS ?=

GOLANGCI_LINT := .cache/bin/golangci-lint-v2.15.0
GOFUMPT       := .cache/bin/gofumpt-v0.12.0
GOVULNCHECK   := .cache/bin/govulncheck-v1.9.0

# The modules of go.work, as ./dir. `go test ./...` sees only the one it is in.
MODULES  = $(shell awk '$$1 ~ /^\.(\/|$$)/ { print $$1 }' go.work)
PACKAGES = $(addsuffix /...,$(MODULES))
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# each runs a command in each module, by itself as its users get it.
each = @for m in $(MODULES); do echo "== $$m: $(1)"; (cd $$m && GOWORK=off $(1)); done

.PHONY: help
help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

# Parts of the tests: make test PARTS='unit redis'. integration/test.sh has the list.
PARTS ?=

.PHONY: unit
unit: race ## tests that need no server; a minute or two
	@integration/test.sh unit members

.PHONY: test
test: race ## everything, against real servers; minutes. Needs Docker, or the servers on PATH
	@integration/test.sh $(PARTS)

.PHONY: conformance
conformance: export FENCELOCK_STRICT = 1
conformance: race ## the conformance suite on real servers: make conformance BACKEND=redis
	go test $(if $(filter zookeeper,$(BACKEND)),,$(RACE)) -count=1 -parallel 8 -v -timeout 30m -run Conformance $(ARGS) ./integration/$(BACKEND)/... | $(quieter)

# Each version of Redis and Valkey by itself, where `make test` has them side by side in one list: all
# tests of Redlock with all masters of the one kind. MASTERS='Redis 7.0,Valkey' chooses.
MASTERS ?= Redis 7.0,Redis,Valkey
.PHONY: redlock-matrix
redlock-matrix: export FENCELOCK_STRICT = 1
redlock-matrix: race ## Redlock: every test on each version of the servers; a quarter of an hour
	@failed=; IFS=, read -ra kinds <<<"$(MASTERS)"; for kind in "$${kinds[@]}"; do \
		echo "== all masters: $$kind"; \
		FENCELOCK_REDLOCK_MASTERS="$$kind" go test $(RACE) -count=1 -parallel 8 -v -timeout 30m $(ARGS) ./integration/redlock/... | $(quieter) || failed+=" $$kind;"; \
	done; [[ -z $$failed ]] || { echo "failed:$$failed"; exit 1; }

# Also what integration/test.sh skips. For newer servers see below.
.PHONY: redis-matrix
redis-matrix: export FENCELOCK_STRICT = 1
redis-matrix: race ## Redis: every test, also those for which CI has no time; ten minutes
	go test $(RACE) -count=1 -parallel 8 -v -timeout 40m $(ARGS) ./integration/redis/... | $(quieter)

# Sentinel and Cluster, each version of Redis and Valkey by itself, where `make test` has one. A newer server than
# those of the tests (Redis 8.4 and Valkey 9 move a slot as a whole, Valkey 9 fails over in agreement with the
# master): FENCELOCK_SERVERS=process and FENCELOCK_REDIS_PROGRAM or FENCELOCK_VALKEY_PROGRAM, or FENCELOCK_REDIS_IMAGE.
# As processes no server can be cut off from the others: leave those tests out with ARGS='-skip /CutOff'.
KINDS ?= Redis 7.0,Redis,Valkey
# each_kind runs tests once for each kind.
each_kind = @failed=; IFS=, read -ra kinds <<<"$(KINDS)"; for kind in "$${kinds[@]}"; do \
		echo "== $$kind"; FENCELOCK_KIND="$$kind" $(1) | $(quieter) || failed+=" $$kind;"; \
	done; [[ -z $$failed ]] || { echo "failed:$$failed"; exit 1; }

.PHONY: sentinel-matrix
sentinel-matrix: export FENCELOCK_STRICT = 1
sentinel-matrix: race ## Redis Sentinel: every test, on each version, and more fail-overs; half an hour
	$(call each_kind,go test $(RACE) -count=1 -parallel 4 -v -timeout 60m $(ARGS) ./integration/sentinel/... -failovers 50)

.PHONY: cluster-matrix
cluster-matrix: export FENCELOCK_STRICT = 1
cluster-matrix: race ## Redis Cluster: every test, on each version; a quarter of an hour
	FENCELOCK_REDIS_CLUSTERS="$(KINDS)" go test $(RACE) -count=1 -v -timeout 10m -run '^TestSlotMigration$$' $(ARGS) ./integration/redis | $(quieter)
	$(call each_kind,go test $(RACE) -count=1 -parallel 4 -v -timeout 60m $(ARGS) ./integration/cluster/...)

# A test in progress shows as it ends, and what it logs with its name.
quieter = grep --line-buffered -vE '^=== (RUN|PAUSE|CONT)'

.PHONY: sim
sim: ## the built-in Raft, or BACKEND=redlock, in simulation, with faults of all kinds: make sim SEEDS=5000
	go test -count=1 -v -timeout 60m -run '^TestSim$$' $(ARGS) $(if $(filter redlock,$(BACKEND)),./backend/redis/redlock,./backend/raftlocal)/internal/sim -seeds $(SEEDS) | $(quieter)

.PHONY: race
race:
ifeq ($(RACE),)
	@echo "NOTE: without the race detector, which needs a C compiler (Debian: apt-get install gcc libc6-dev)" >&2
endif

.PHONY: quickstart
quickstart: ## the example to start with
	@echo "The first run downloads two modules, and compiles: 10 s to a minute. Later ones start at once."
	@go -C examples/quickstart run .

.PHONY: bench
bench: ## ours beside others, on one real server: make bench BACKEND=redis
	go run ./bench -backend $(BACKEND) $(ARGS)
	$(if $(filter raftlocal,$(BACKEND)),go run ./bench -backend raftlocal3 $(ARGS))
	$(if $(filter redlock,$(BACKEND)),go run ./bench -backend redlock5 $(ARGS))

.PHONY: lint
lint: format-check words vet tidy-check golangci vuln ## all static checks

.PHONY: format
format: $(GOFUMPT) ## format all code
	$(GOFUMPT) -w .

.PHONY: format-check
format-check: $(GOFUMPT)
	@echo "== gofumpt"
	@unformatted=$$($(GOFUMPT) -l .); [[ -z $$unformatted ]] || { echo "not formatted (make format): $$unformatted"; exit 1; }

.PHONY: words
words: ## words to avoid in comments and documents: the table of CONTRIBUTING.md
	go test -count=1 -run '^TestWords$$' .

.PHONY: vet
vet: ## go vet, in each module by itself
	$(call each,go vet ./...)

.PHONY: tidy-check
tidy-check:
	$(call each,go mod tidy -diff)

.PHONY: tidy
tidy: ## go mod tidy, in each module
	$(call each,go mod tidy)

.PHONY: golangci
golangci: $(GOLANGCI_LINT)
	@echo "== golangci-lint"
	$(GOLANGCI_LINT) run $(PACKAGES)

# Vulnerabilities fail. A database that cannot be reached does not: it is not a
# fault of the code, but it must not go unseen.
.PHONY: vuln
vuln: $(GOVULNCHECK)
	@for m in $(MODULES); do \
		echo "== $$m: govulncheck"; \
		code=0; out=$$(cd $$m && GOWORK=off $(CURDIR)/$(GOVULNCHECK) ./... 2>&1) || code=$$?; \
		if [[ $$code == 0 ]]; then continue; fi; \
		if [[ $$code != 3 ]] && grep -q 'fetching vulnerabilities\|vuln\.go\.dev' <<<"$$out"; then \
			printf '%s\n' '*****************************************************************' \
				'* NOT CHECKED FOR VULNERABILITIES: the database is out of reach *' \
				'*****************************************************************'; \
			exit 0; \
		fi; \
		echo "$$out"; exit 1; \
	done

.PHONY: images
images: ## build the servers' images, for machines without a container registry
	integration/images/build.sh $$(integration/images/build.sh)

# The toolchain for the go line of a module: the last patch of that release. The first patches of 1.25
# hang in testing/synctest now and then (golang/go#75134).
lowest = $$(case "$$(go mod edit -json | sed -n 's/^\t"Go": "\(.*\)",\?$$/\1/p')" in 1.25.*) echo go1.25.12;; 1.26.*) echo go1.26.8;; *) echo local;; esac)

# Without backend/raftlocal's members on real disks: they take a minute, and what they depend on
# differs from the current versions by a patch; and with short simulations. A Go that cannot be had is no fault of the code, but
# it must not go unseen.
.PHONY: lowest
lowest: ## each library module's unit tests, with the Go and the dependencies that it asks for at the least
	@failed=; for m in $$(go run ./internal/release list); do \
		(cd $$m && export GOWORK=off GOTOOLCHAIN=$(lowest) && echo "== $$m: $$GOTOOLCHAIN" && \
			if ! why=$$(go version 2>&1); then echo "* NOT TESTED WITH $$GOTOOLCHAIN, which the module proxy does not give: $$why"; exit 0; fi && \
			go vet ./... && go test -short $(ARGS) $$(go list ./... | grep -v '/backend/raftlocal$$')) || failed+=" $$m"; \
	done; [[ -z $$failed ]] || { echo "failed:$$failed"; exit 1; }

.PHONY: release
release: ## one commit and a tag for each module, nothing pushed: make release V=v0.2.0; see docs/releasing.md
	@go run ./internal/release "$(V)"

$(GOLANGCI_LINT): TOOL = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
$(GOFUMPT):       TOOL = mvdan.cc/gofumpt@v0.12.0
$(GOVULNCHECK):   TOOL = golang.org/x/vuln/cmd/govulncheck@v1.9.0
$(GOLANGCI_LINT) $(GOFUMPT) $(GOVULNCHECK):
	@echo "== building $(@F), once; golangci-lint takes some minutes"
	@mkdir -p $(@D)
	@dir=$$(mktemp -d) && GOBIN=$$dir go install $(TOOL) && mv $$dir/* $@ && rmdir $$dir
