# make up    everything installed and running; Ctrl-C stops it
# make test  the checks and the whole suite, on servers that it starts itself

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
NEEDS := 3.11 or newer

# A command of that name may exist and not work (version managers leave such), so each is run.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$p && break; done)
# The shell without windows does the same pages with two thirds of the processor's time.
CHROMIUM := $(shell for p in chromium-headless-shell chromium chromium-browser google-chrome \
	google-chrome-stable; do command -v $$p && break; done)

export PLACET_CHROMIUM ?= $(CHROMIUM)

# Stamps carry the hash of what was installed: an unchanged file is never installed twice.
HASH = $(shell cat $(1) | sha256sum | cut -c 1-16)
RUN := $(VENV)/.run-$(call HASH,requirements/run.txt)
DEV := $(VENV)/.dev-$(call HASH,requirements/run.txt requirements/dev.txt)
PIP := $(BIN)/python -m pip install --quiet --require-hashes --prefer-binary \
	--disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help up test bench storm lint format requirements browser clean
.ONESHELL:
.SHELLFLAGS := -ec

help: ## What can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

up: $(RUN) ## Install and start everything (PLACET_PORT, PLACET_HOME, PLACET_DEMO=0)
	@exec $(BIN)/python manage.py up

# Two at once, each with servers of its own and a file at a time; see tests/conftest.py for the order.
test: $(DEV) browser lint ## All checks and the whole suite, browser included
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

bench: $(DEV) ## Measure steps, parked runs and gates beside the floor; 15 minutes of a quiet machine
	@$(BIN)/python -m tests.bench.steps
	$(BIN)/python -m tests.bench.parked
	$(BIN)/python -m tests.bench.gates

storm: $(DEV) ## Kill, freeze and cut off everything for MINUTES=5, and look what is left (SEED=)
	@exec $(BIN)/python -m tests.storm --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

lint: $(DEV) ## Style, types, and the arrows between the rooms
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Bring the code into the house style
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: ## Pin requirements/*.in anew, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "Pinning needs uv: see https://docs.astral.sh/uv/." >&2; exit 1; }
	cd requirements
	for name in run dev; do
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-header --output-file $$name.txt $$name.in
	done

browser:
	@[ -n "$(CHROMIUM)" ] && exit 0
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "Installing Chromium for the browser tests."
		apt-get -qq update
		for p in chromium-headless-shell chromium; do
			apt-get -qq install -y --no-install-recommends $$p >/dev/null && exit 0
		done
	fi
	echo "The browser tests need Chromium: install the package chromium (Debian: sudo apt-get install chromium; Fedora: sudo dnf install chromium) and run make test again." >&2
	exit 1

clean: ## Remove what is made from the sources; your data in .placet stay
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then
		echo "Placet needs Python $(NEEDS) and found none: install it, or name it with make PYTHON=/path/to/python." >&2
		exit 1
	fi
	if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
		echo "Placet needs Python $(NEEDS), which $(PYTHON) is not: name another with make PYTHON=/path/to/python." >&2
		exit 1
	fi
	if ! said=$$("$(PYTHON)" -m venv --clear $(VENV) 2>&1); then
		rm -rf $(VENV)
		echo "The virtual environment could not be made by $(PYTHON): on Debian and Ubuntu install python3-venv; elsewhere see: $$(echo "$$said" | tail -n 1)" >&2
		exit 1
	fi

$(RUN): | $(BIN)/python
	@echo "Installing what Placet runs on; this takes about a minute."
	$(PIP) -r requirements/run.txt
	rm -f $(VENV)/.run-*
	touch $@

$(DEV): | $(BIN)/python
	@echo "Installing what Placet runs on and what its tests need; this takes about a minute."
	$(PIP) -r requirements/run.txt -r requirements/dev.txt
	rm -f $(VENV)/.run-* $(VENV)/.dev-*
	touch $(RUN) $@
