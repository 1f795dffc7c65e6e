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
ARGS ?=

GOLANGCI_LINT := .cache/bin/golangci-lint-v2.15.0
GOFUMPT       := .cache/bin/gofumpt-v0.12.0
GOVULNCHECK   := .cache/bin/govulncheck-v1.9.0

# The modules of go.work, as ./dir. `go test ./...` sees only the one it is in.
MODULES  = $(shell awk '$$1 ~ /^\.(\/|$$)/ { print $$1 }' go.work)
PACKAGES = $(addsuffix /...,$(MODULES))
# Those whose tests need no server: all but integration, and of that what tests itself.
UNIT = $(addsuffix /...,$(filter-out ./integration ./backend/raftlocal,$(MODULES))) \
	./backend/raftlocal/internal/... ./backend/raftlocal/bare ./integration/internal/proxy
# Members on real disks and sockets: they keep time, and so have the machine for themselves.
TIMED = ./backend/raftlocal

# go-zookeeper 1.0.4 has a data race of its own: when it connects again, it reads the last
# zxid (sendSetWatches) while it takes in the first answer (recvLoop). Tests in which a
# connection with watches breaks do without the detector; backend/zookeeper's own, on a fake
# connection, have it.
UNRACED = ./integration/zookeeper/... ./integration/process/...
RACED   = ./integration/etcd/... ./integration/raftlocal/... ./integration/redis/... ./integration/images/... ./integration/internal/...

RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# each runs a command in each module, by itself as its users get it.
each = @for m in $(MODULES); do echo "== $$m: $(1)"; (cd $$m && GOWORK=off $(1)); done

.PHONY: help
help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: unit
unit: race ## tests that need no server; seconds
	go test $(RACE) $(ARGS) $(UNIT)
	go test $(RACE) -parallel 8 $(ARGS) $(TIMED)

.PHONY: test
test: export FENCELOCK_STRICT = 1
test: race ## everything, against real servers; minutes. Needs Docker, or the servers on PATH
	@echo "== tests that need no server"
	go test $(RACE) $(ARGS) $(UNIT)
	go test $(RACE) -parallel 8 $(ARGS) $(TIMED)
	@echo "== tests on real servers; most of them wait, so that eight at a time suit two processors"
	go test $(RACE) -run '^$$' $(RACED) >/dev/null
	go test $(RACE) -count=1 -p 1 -parallel 8 -v -timeout 30m $(ARGS) $(RACED) | $(quieter)
	go test -count=1 -p 1 -parallel 8 -v -timeout 30m $(ARGS) $(UNRACED) | $(quieter)
	@echo "== the quickstart"
	go run ./examples/quickstart
	@echo "== all tests have passed"

.PHONY: conformance
conformance: export FENCELOCK_STRICT = 1
conformance: race ## the conformance suite on real servers: make conformance BACKEND=redis
	go test $(if $(filter zookeeper,$(BACKEND)),,$(RACE)) -count=1 -parallel 8 -v -timeout 30m -run Conformance $(ARGS) ./integration/$(BACKEND)/... | $(quieter)

# A test in progress shows as it ends, and what it logs with its name.
quieter = grep --line-buffered -vE '^=== (RUN|PAUSE|CONT)'

.PHONY: sim
sim: ## the built-in Raft in simulation, with faults of all kinds: make sim SEEDS=5000
	go test -count=1 -v -timeout 60m -run '^TestSim$$' $(ARGS) ./backend/raftlocal/internal/sim -seeds $(SEEDS) | $(quieter)

.PHONY: race
race:
ifeq ($(RACE),)
	@echo "NOTE: without the race detector, which needs a C compiler (Debian: apt-get install gcc libc6-dev)" >&2
endif

.PHONY: quickstart
quickstart: ## the example to start with
	go run ./examples/quickstart

.PHONY: bench
bench: ## ours beside others, on one real server: make bench BACKEND=redis
	go run ./bench -backend $(BACKEND) $(ARGS)
	$(if $(filter raftlocal,$(BACKEND)),go run ./bench -backend raftlocal3 $(ARGS))

.PHONY: lint
lint: format-check vet tidy-check golangci vuln ## all static checks

.PHONY: format
format: $(GOFUMPT) ## format all code
	$(GOFUMPT) -w .

.PHONY: format-check
format-check: $(GOFUMPT)
	@echo "== gofumpt"
	@unformatted=$$($(GOFUMPT) -l .); [[ -z $$unformatted ]] || { echo "not formatted (make format): $$unformatted"; exit 1; }

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

$(GOLANGCI_LINT): TOOL = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
$(GOFUMPT):       TOOL = mvdan.cc/gofumpt@v0.12.0
$(GOVULNCHECK):   TOOL = golang.org/x/vuln/cmd/govulncheck@v1.9.0
$(GOLANGCI_LINT) $(GOFUMPT) $(GOVULNCHECK):
	@echo "== building $(@F), once; golangci-lint takes some minutes"
	@mkdir -p $(@D)
	@dir=$$(mktemp -d) && GOBIN=$$dir go install $(TOOL) && mv $$dir/* $@ && rmdir $$dir
