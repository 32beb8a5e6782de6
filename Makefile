# moray: make lists what can be done.

GO        ?= go
FUZZTIME  ?= 20s
LONG      ?= 20
BIN       := bin
PACKAGES  := ./...

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/moray
	@$(GO) build -o $(BIN)/ ./cmd/...

.PHONY: run
run: build ## a server with a PostgreSQL of its own, for trying things out
	@exec $(BIN)/moray dev $(RUN)

.PHONY: tools
tools: deps ## the stock client's command-line tools, in test/clients/node_modules/moray-4/bin
	@npm ci --prefix test/clients --ignore-scripts --no-audit --no-fund --loglevel=error

PREFIX ?= /usr/local

.PHONY: install
install: build man ## bin/moray, manual and completion to PREFIX=/usr/local, with links under the names of the client's tools; DESTDIR is put in front
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	@install -m 755 $(BIN)/moray $(DESTDIR)$(PREFIX)/bin/moray
	@for tool in $$($(BIN)/moray tools); do ln -sf moray $(DESTDIR)$(PREFIX)/bin/$$tool; done
	@install -m 644 $(BIN)/man/man1/* $(DESTDIR)$(PREFIX)/share/man/man1
	@install -D -m 644 $(BIN)/completion/moray.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/moray
	@install -D -m 644 $(BIN)/completion/moray.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_moray
	@install -D -m 644 $(BIN)/completion/moray.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/moray.fish

.PHONY: man
man: build ## the manual pages in bin/man, completion for shells in bin/completion
	@rm -rf $(BIN)/man $(BIN)/completion && mkdir -p $(BIN)/completion
	@$(BIN)/moray man $(BIN)/man/man1
	@for shell in bash zsh fish; do $(BIN)/moray completion $$shell >$(BIN)/completion/moray.$$shell || exit 1; done

# VERSION is that of the tag, or of the commit.
VERSION ?= $(shell scripts/version)

.PHONY: release
release: ## static programs for Linux, Debian packages, bills of materials and checksums of VERSION in bin/release
	@scripts/release $(VERSION) $(BIN)/release
	@cat $(BIN)/release/SHA256SUMS

.PHONY: release-test
release-test: ## build the release again, in another place with empty caches: the checksums have to be the same
	@test/release/run $(BIN)/release $(VERSION)

.PHONY: deb-test
deb-test: ## install, use, upgrade, remove and purge the Debian package of make release, in a Debian with systemd (needs root)
	@scripts/install-deps debootstrap systemd-container
	@test/debian/run $(BIN)/release

.PHONY: image
image: ## the container image, from scratch, of make release (needs root): bin/release/moray-VERSION-ARCHITECTURE.oci.tar
	@scripts/install-deps buildah
	@scripts/image $(BIN)/release $(VERSION) $(ARCH)

.PHONY: manifests
manifests: ## check what is in deploy for Kubernetes and for compose against their schemas
	@scripts/install-deps docker-compose
	@$(GO) -C deploy/tools tool kubectl-validate --version 1.30 ../kubernetes
	@POSTGRES_PASSWORD=x docker-compose -f deploy/compose/compose.yaml config --quiet
	@$(GO) test -run 'TestManifests|TestShippedConfigurations' ./cmd/moray

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in the code that is called (needs the database of vuln.go.dev, or VULNDB=URL)
	@scripts/vulncheck $(VULNDB)

.PHONY: deps
deps: ## install what the tests need and this machine lacks (Debian packages; needs root only if something is missing)
	@scripts/install-deps

.PHONY: test
test: deps ## everything: unit tests, real PostgreSQL, stock clients
	$(GO) test $(PACKAGES)

.PHONY: short
short: ## the tests that need no services
	$(GO) test -short $$($(GO) list ./core/... | grep -v -e /cluster -e /pgstore -e /localpg -e /server -e /object -e /rpc -e /bucket -e /query -e /field) ./schemas/...

.PHONY: race
race: deps ## the same as test under the race detector
	$(GO) test -race $(PACKAGES)

.PHONY: model
model: deps ## the tests of objects that draw at random, LONG=20 times as long: the model, races, filters
	$(GO) test -count=1 -timeout 2h -run 'TestModel|TestRaces|TestBatchesAreAtomic|TestFilters' ./core/object -long $(LONG)

.PHONY: restarts
restarts: ## a plugin killed 1,000 times: nothing is left over
	MORAY_RESTARTS=1000 $(GO) test -count=1 -v -timeout 30m -run 'TestRestarts$$' ./hooks

.PHONY: generate
generate: ## the code of hook.proto (needs Debian's protobuf-compiler)
	$(GO) generate ./hooks/...

.PHONY: fuzz
fuzz: deps ## every fuzz target for FUZZTIME=20s
	@scripts/fuzz $(FUZZTIME)

.PHONY: crash-test
crash-test: deps ## moray buckets apply killed, and without its database, at every statement
	MORAY_EVERY_STEP=1 $(GO) test -count=1 -timeout 30m -run 'TestApplyKilled|TestApplyWithoutDatabase|TestApplyAnything' ./cmd/moray ./core/reconcile

.PHONY: conformance
conformance: deps ## replay what was recorded from the original: steps equal, changed by decision, failed
	@rm -f $(BIN)/conformance.txt && mkdir -p $(BIN)
	@MORAY_CONFORMANCE=$(CURDIR)/$(BIN)/conformance.txt $(GO) test -count=1 -run TestTranscript ./test/conformance >$(BIN)/conformance.log || { cat $(BIN)/conformance.log; false; }
	@cat $(BIN)/conformance.txt

.PHONY: bench
bench: ## the server beside pgbench and PgBouncer on this machine: ratios, CPU an operation, goals; bin/bench.json keeps the figures
	@scripts/install-deps pgbouncer
	@mkdir -p $(BIN)
	@if [ -e $(BIN)/bench.json ]; then mv $(BIN)/bench.json $(BIN)/bench-old.json; fi
	@$(GO) run ./test/bench -out $(BIN)/bench.json $(BENCH)

.PHONY: growth
growth: deps ## how cost grows with objects and buckets, whole buckets, memory, start: tables, and the plot bin/growth.svg (10 to 30 minutes, 10 GB)
	@mkdir -p $(BIN)
	@$(GO) run ./test/bench -growth -out $(BIN)/growth.svg $(GROWTH)

.PHONY: bench-alarm
bench-alarm: ## a short run of the same: fails if a ratio to pgbench is far below its floor
	@$(GO) run ./test/bench -quick -alarm

.PHONY: bench-buckets
bench-buckets: ## definitions in files: a look at 1,000 buckets, rows/s of reindexing, writers while an index is built over 1,000,000 rows
	@$(GO) test -run '^$$' -bench 'Unchanged|Reindexer|Writers' -benchtime 1x ./core/reconcile ./test/reconcile

.PHONY: bench-compare
bench-compare: ## compare the last two runs of make bench, or OLD=file NEW=file
	@$(GO) run ./test/bench -compare $(or $(OLD),$(BIN)/bench-old.json) $(or $(NEW),$(BIN)/bench.json)

.PHONY: cluster-test
cluster-test: deps ## failovers and other faults under load, by hand and under Patroni: what each costs (20 minutes)
	@CLUSTER=1 scripts/install-deps
	@mkdir -p $(BIN)
	@$(GO) test -count=1 -timeout 60m ./test/cluster -args -faults -results $(CURDIR)/$(BIN) >$(BIN)/cluster.log 2>&1 || { cat $(BIN)/cluster.log; false; }
	@cat $(BIN)/manatee.txt $(BIN)/patroni.txt $(BIN)/namespaced.txt $(BIN)/overload.txt

DURATION ?= 15m

.PHONY: soak
soak: deps ## all kinds of requests, hooks, definitions from files and faults for DURATION=15m: nothing is lost, nothing left over
	$(GO) test -count=1 -v -timeout 24h -run 'TestSoak$$' ./test/cluster -soak $(DURATION)

.PHONY: cover
cover: deps ## coverage by package
	$(GO) test -cover $(PACKAGES)

.PHONY: lint
lint: ## formatting, vet and the linters
	@test -z "$$($(GO) tool gofumpt -l .)" || { echo "not formatted:"; $(GO) tool gofumpt -l .; false; }
	$(GO) vet $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)
	$(GO) tool go-errorlint -test=false $(PACKAGES)
	$(GO) tool unparam $(PACKAGES)

.PHONY: fmt
fmt: ## format the code
	$(GO) tool gofumpt -w .

.PHONY: verify
verify: ## fails if formatting or tidying would change anything
	@test -z "$$($(GO) tool gofumpt -l .)"
	$(GO) mod tidy -diff

.PHONY: clean
clean: ## remove what was built; data under .moray stays
	rm -rf $(BIN)
