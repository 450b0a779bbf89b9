# The commands of everyday work. What they do is in scripts/ and CMakePresets.json; this file only names it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
export NINJA_STATUS := [%f/%t %p %es] 

.PHONY: help run build test soak bench check format clean setup

help: ## lists these commands
	@echo 'make <command> [PRESET=release|debug|asan|tsan]'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## installs what is missing, builds, and starts the demo (Ctrl-C ends it)
	@scripts/setup build
	@scripts/configure $(PRESET)
	@cd $(BUILD) && ninja -j $(JOBS) signalbox
	@$(BUILD)/signalbox demo

build: ## builds everything, tests and benchmarks included
	@scripts/setup dev
	@scripts/configure $(PRESET)
	@cd $(BUILD) && ninja -j $(JOBS)

test: build ## builds and runs every test (TESTS=regex for some)
	@ctest --test-dir $(BUILD) -j 2 --output-on-failure $(if $(TESTS),-R '$(TESTS)')

soak: ## runs the simulation of rollouts from ever new seeds, until it is stopped
	@scripts/setup dev
	@scripts/configure $(PRESET)
	@cd $(BUILD) && ninja -j $(JOBS) signalbox-simulation
	@$(BUILD)/tests/simulation/signalbox-simulation --forever --jobs $(JOBS)

bench: build ## runs the benchmarks and prints their tables
	@bench/run $(BUILD)

check: ## format, lint of what changed against main (TIDY=all: of everything, none: of nothing), folder dependencies
	@scripts/setup dev
	@scripts/configure $(PRESET)
	@scripts/check $(BUILD)

format: ## formats all C++ code
	@scripts/setup dev
	@git ls-files -z --cached --others --exclude-standard '*.cc' '*.h' | xargs -0 clang-format -i

setup: ## installs what building and testing need (make run does it by itself)
	@scripts/setup dev

clean: ## removes what was built and what the demo left
	rm -rf build .demo
