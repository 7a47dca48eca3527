# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
SHELL      := /bin/bash
WORKSPACE  := workspace
VENV       := $(WORKSPACE)/venv
BIN        := $(VENV)/bin
STAMP      := $(VENV)/.installed
PYTHON     ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
                command -v $$p >/dev/null && $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
export OMP_NUM_THREADS = 1

.DEFAULT_GOAL := help
.PHONY: help setup sample demo test up down status lint types contracts check full bench speed lock vendor clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) sample ## environment from the lock, and the sample; the only step that uses the network

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "[1/3] environment: $$($(PYTHON) --version) in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "[2/3] packages from requirements.lock, each checked against its hash (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location --no-deps --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m compileall -q -j 0 $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') >/dev/null 2>&1 || true
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>$(WORKSPACE)/setup.log || { cat $(WORKSPACE)/setup.log; exit 1; }
	@touch $@

sample: $(STAMP)
	@$(BIN)/geoml sample

demo: setup ## one whole turn of the loop on real imagery; ends with workspace/demo/report.html
	@$(BIN)/geoml demo

test: setup ## the test suite
	@$(BIN)/python -m pytest

up: setup ## start the stack and leave it on; prints the links
	@$(BIN)/geoml up

down: ## stop what `make up` started
	@test ! -x $(BIN)/geoml || $(BIN)/geoml down

status: ## what runs, what is champion, what was decided last
	@$(BIN)/geoml status

lint: $(STAMP) ## style
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(STAMP) ## static types
	@$(BIN)/mypy

contracts: $(STAMP) ## which way imports go
	@$(BIN)/lint-imports --no-cache

check: lint types contracts ## everything but the tests

full: setup ## the long acceptance runs, with their numbers under workspace/full/
	@GEOML_FULL=1 $(BIN)/python -m pytest -m full

bench: setup ## speed as ratios, one JSON per figure under workspace/bench/ (ONLY=name for one)
	@$(BIN)/python -m tests.benchmarks $(ONLY)

speed: $(STAMP) ## write docs/speed.md from the figures of make bench
	@$(BIN)/python -m tests.benchmarks.page

lock: ## rewrite requirements.lock from pyproject.toml (needs the network)
	@$(PYTHON) infra/lock.py

vendor: ## rewrite serving/page/vendor from infra/vendor/package-lock.json (needs npm and the network)
	@$(PYTHON) infra/vendor/vendor.py

clean: down ## remove everything made at run time except the environment
	@find $(WORKSPACE) -mindepth 1 -maxdepth 1 ! -name venv -exec rm -rf {} +
