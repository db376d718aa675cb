# One line a tool. `make run` and `make test` need nothing but Go.
GO        ?= go
STATIC    := CGO_ENABLED=0
FUZZTIME  ?= 2s
KILLS     ?= 5000
LDFLAGS   := -s -w
SOURCES   := bench cmd internal packaging protocol test web/*.go
TOOL      := $(GO) tool -modfile=tools/go.mod

.PHONY: help build run test check vet race fuzz interop browser peers crash upgrade package package-test bench bench-monitoring clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## bin/ntptsd and bin/ntptsctl, static
	$(STATIC) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

run: build ## a complete server with its own throw-away CA, and an authenticated answer from it
	@$(STATIC) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o .cache/demo ./test/demo
	@exec .cache/demo

test: ## everything that needs no root and no other daemon
	$(GO) test ./...

check: test vet race fuzz interop browser package-test ## test, vet, staticcheck, race, short fuzz, real daemons, a real browser, the package, 200 kills
	$(MAKE) crash KILLS=200

vet: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l $(SOURCES))" || { echo "run gofmt -w on:"; gofmt -l $(SOURCES); exit 1; }
	$(GO) vet ./...
	GOOS=freebsd $(GO) vet ./internal/... ./protocol/...
	$(TOOL) staticcheck ./...

race: ## the tests under the race detector
	$(GO) test -race ./protocol/... ./internal/... ./cmd/...

# Go's fuzzer sometimes takes its own deadline for a failure, with no input to show for it (golang/go#75804): that alone is tried once more.
fuzz: ## every fuzz target for FUZZTIME
	@for p in $$($(GO) list ./protocol/... ./internal/... ./cmd/...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    once() { $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$p >.fuzz.log 2>&1; }; \
	    deadline() { grep -q '^ *context deadline exceeded$$' .fuzz.log && ! grep -qE 'Failing input|panic' .fuzz.log; }; \
	    echo "fuzz $$p $$f"; once || { deadline && once; } || { cat .fuzz.log; exit 1; }; \
	  done; done; rm -f .fuzz.log

peers: ## download the real daemons beside the sources (.cache/peers); nothing is installed
	$(GO) run ./test/interop/fetch

interop: build peers ## real chronyd, NTPsec, ntpd and ntpd-rs against ntptsd, in network namespaces (needs root); shows a matrix
	NTPTSD_INTEROP=1 $(GO) -C test/interop test -count=1 -timeout 12m

browser: build ## a real Chromium at the dashboard (needs chromium and npm); screenshots in .cache/browser
	NTPTSD_BROWSER=1 $(GO) test ./test/browser -count=1 -timeout 10m

crash: ## kill the real daemon KILLS times, and at every step of writing a file: nothing that it answered may be lost
	NTPTSD_CRASH=$(KILLS) $(GO) test ./test/crash -count=1 -v -timeout 4h

upgrade: ## 50 hand-overs and 50 restarts under load: no client may notice
	NTPTSD_UPGRADE=1 $(GO) test ./test/upgrade -count=1 -v -timeout 10m

bench: build ## CPU per operation beside the bare ceiling and chronyd, as ratios of one run
	$(GO) run ./bench

bench-monitoring: build ## what the services port costs, and what it takes from key exchange (make peers: 64 sources of a real chronyd)
	$(GO) run ./bench -cycles 10 monitoring

clean: ## what was built and downloaded
	rm -rf bin dist .cache

package: ## dist/: Debian packages, static binaries, container image tree, bill of materials, checksums (needs git and dpkg-deb)
	$(GO) run ./packaging/build

package-test: ## install, upgrade, remove and purge the package in a Debian of its own (needs root and mmdebstrap)
	NTPTSD_PACKAGE=1 $(GO) test ./test/package -count=1 -timeout 10m
