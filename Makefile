# Builds, tests and demonstrates cache-extension; `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Start-up time is paid by every function that uses the layer, and most of it is reading the binary: no cgo, no symbols, no
# HTTP/2, functions aligned to 16 bytes, and nothing inlined in packages that no read from memory passes through.
go-flags := -trimpath -tags nethttpomithttp2
cold := crypto/tls fmt gopkg.in/yaml.v3 math/big reflect cache-extension/extension/internal/config
comma := ,

# encoding/gob, which go-cache imports for what nothing here uses, gives way to a package of the same functions, which fail.
without-gob = {"Replace":{"{{.Dir}}/stub.go":"extension/overlay/gob.go.txt"{{$$dir := .Dir}}{{range .GoFiles}},"{{$$dir}}/{{.}}":""{{end}}}}

# $(call program,output,tags,environment) builds the extension.
define program
@overlay=$$(mktemp) && trap 'rm -f "$$overlay"' EXIT && go list -f '$(without-gob)' encoding/gob >"$$overlay" && (set -x; \
	env CGO_ENABLED=0 $(3) go build -trimpath -overlay "$$overlay" -tags nethttpomithttp2$(2) $(cold:%=-gcflags=%=-l) \
	-ldflags "-s -w -funcalign=16" -o $(1) ./extension)
endef

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\): .*## /\1\t/p' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/cache-extension and bin/cachectl for this machine
	$(call program,bin/cache-extension)
	CGO_ENABLED=0 go build $(go-flags) -o bin/cachectl ./extension/cachectl

.PHONY: shared
shared: ## build bin/cache-extension-shared, which has the shared tier
	$(call program,bin/cache-extension-shared,$(comma)shared)

.PHONY: demo
demo: ## see it work: no AWS account, no Docker, no root
	@test -d .tools || echo "The first time takes a minute: it installs what it needs into .tools."
	@# With the flags of the build, what is compiled for the one serves the other.
	@CGO_ENABLED=0 go run $(go-flags) ./e2e/demo

# The race detector needs cgo, which Go switches off where it finds no C compiler.
race = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.PHONY: test
test: ## run every check and test, those on real parts too
	@go run ./e2e/tools >/dev/null || echo "parts are missing, see above: the tests that need them say so"
	@unformatted=$$(gofmt -l *.go extension e2e examples) && test -z "$$unformatted" || { echo "run gofmt -w on: $$unformatted"; exit 1; }
	go vet ./... && go vet -tags shared ./extension
	@dir=$$(go run ./e2e/tools staticcheck) && set -x && "$$dir/staticcheck" ./... && "$$dir/staticcheck" -tags shared ./extension
	@test -n "$(race)" || { echo "no C compiler: the tests run without -race"; test "$$CI" != true; }
	@# A count: at the end of a time, Go 1.26 may take its own deadline for a failure of the target.
	@$(MAKE) --no-print-directory fuzz FUZZTIME=5000x
	@# Uncached: the end-to-end tests depend on files that go test does not see them use.
	go test $(race) -count=1 ./...
	go test $(race) -count=1 -tags shared -run '^TestShared' ./extension
	@if command -v node >/dev/null; then set -x; cd example-function && node --test; \
	else echo "node is not installed: the tests of example-function are skipped"; test "$$CI" != true; fi

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME, 30s unless told
	@for package in $$(go list ./extension/...); do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime "$${FUZZTIME:-30s}" "$$package" || exit 1; \
		done; \
	done

.PHONY: soak
soak: ## read, rotate, fail and freeze for SOAK_DURATION, 3m unless told
	@go run ./e2e/soak

.PHONY: bench
bench: ## measure beside floors; ARGS="-rows start -against main~1" chooses
	go run ./e2e/bench $(ARGS)

.PHONY: release
release: ## build the layers' zips, the image and checksums into bin/release
	@go run ./e2e/release

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf bin .tools .aws-sam SAM/.aws-sam examples/cdk/build examples/cdk/cdk.out examples/cdk/node_modules

# What follows is called by `sam build` for the resources of SAM/template.yaml of these names, with ARTIFACTS_DIR set.

layers := CacheExtensionLayerX86 CacheExtensionLayerArm CacheExtensionSharedLayerX86 CacheExtensionSharedLayerArm
.PHONY: $(layers:%=build-%)
$(layers:%=build-%): GOARCH = $(if $(findstring Arm,$@),arm64,amd64)
$(layers:%=build-%): tags = $(if $(findstring Shared,$@),$(comma)shared)
$(layers:%=build-%):
	$(call program,"$(ARTIFACTS_DIR)/extensions/cache-extension",$(tags),GOOS=linux GOARCH=$(GOARCH))
	chmod 755 "$(ARTIFACTS_DIR)/extensions/cache-extension"

.PHONY: build-ExampleFunction
build-ExampleFunction:
	install -m 644 example-function/index.js example-function/package.json config.yaml "$(ARTIFACTS_DIR)"
