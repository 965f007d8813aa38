PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTO_VENV := .venv-protos
GENERATED := sdk/python/src

# A kernel is nine Python processes, and the tests start many: compiled once, each starts in half the time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F '\t' '{printf "  %-16s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamp changes with the lock and the packaging, so that a pull that changes either installs again.
$(VENV)/.installed: requirements.lock pyproject.toml sdk/python/pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e sdk/python -e .
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Install everything into .venv

$(PROTO_VENV)/.installed: | setup
	$(PYTHON) -m venv $(PROTO_VENV)
	$(BIN)/uv pip install --quiet --python $(PROTO_VENV)/bin/python 'grpcio-tools==1.71.2' 'setuptools<81'
	@touch $@

.PHONY: protos
protos: setup $(PROTO_VENV)/.installed ## Generate the Python stubs from protos/
	BIN=$(BIN) PROTO_VENV=$(PROTO_VENV) protos/generate.sh $(GENERATED)

.PHONY: verify-protos
verify-protos: protos ## Fail when the committed stubs differ from the protos
	$(BIN)/buf lint
	git diff --exit-code -- $(GENERATED)/aios/api $(GENERATED)/buf

.PHONY: demo
demo: setup ## Start a kernel, let twelve agents work on it, and draw who waited and ran
	@$(BIN)/aios demo --chart build/demo.png --trace build/demo.json

.PHONY: run
run: setup ## Keep a kernel up on this machine until Ctrl-C
	@$(BIN)/aios up

SOURCES := services gateway launcher sdk/python/src tests examples

.PHONY: check
check: setup ## Lint, formatting, types, import walls, protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/buf lint
	@tests/no_unfinished_marks.sh

.PHONY: fix
fix: setup ## Repair what lint and formatting can repair by themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format -w

PYTEST := $(BIN)/python -m pytest
TWO_WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## Run the tests (below five minutes on two cores of yardstick 1)
	$(PYTEST) $(TWO_WORKERS) -m "not torture and not torture_tools and not clients and not documents and not web and not polyglot" tests

.PHONY: test-again
test-again: setup ## Run the few tests that failed in the last run once more, alone, and name them
	$(BIN)/python tests/again.py

.PHONY: test-fast
test-fast: setup ## Run what fails first: units, contracts on memory and SQLite, the telling RPCs (below two minutes)
	$(PYTEST) $(TWO_WORKERS) -m fast tests

.PHONY: test-clients
test-clients: setup ## Run stock clients against the door; their environments are made under build/clients
	$(PYTEST) -m clients tests/clients

.PHONY: test-docs
test-docs: setup ## Follow the documents on a real kernel, each command and each piece of code, twice (below three minutes)
	$(PYTEST) -m documents tests/documents

.PHONY: test-web
test-web: setup ## Try the web console in Chromium, on a kernel of real processes (below three minutes)
	$(PYTEST) -m web tests/web

.PHONY: test-polyglot
test-polyglot: setup ## Build clients in other languages from the protos alone, and run them (below three minutes)
	$(PYTEST) -m polyglot tests/polyglot

.PHONY: torture
torture: setup ## Run the long fault tests, and every property on many more examples
	$(PYTEST) $(TWO_WORKERS) -m "(torture or hypothesis) and not clients and not documents and not web and not polyglot and not torture_tools" --hypothesis-profile=torture --timeout=900 tests

.PHONY: torture-tools
torture-tools: setup ## Run hostile tools in every sandbox of this machine (below ten minutes)
	$(PYTEST) $(TWO_WORKERS) -m torture_tools --timeout=300 tests

.PHONY: redteam
redteam: setup ## Attack a kernel of real processes with everything, and show what others notice (below ten minutes)
	$(PYTEST) --timeout=300 tests/redteam
	$(BIN)/python -m tests.redteam --out build

.PHONY: bench-overhead
bench-overhead: setup ## Measure what the kernel adds to a bare backend
	$(BIN)/python -m tests.bench.bench_overhead

.PHONY: bench-doors
bench-doors: setup ## Measure what a door costs, and hold 2,000 streams open (LITELLM=1: its proxy beside it)
	$(BIN)/python -m tests.bench.bench_doors $(if $(LITELLM),--litellm)

.PHONY: bench-core
bench-core: setup ## Measure the scheduler's decisions per second
	$(BIN)/python -m tests.bench.bench_core

.PHONY: bench-storage
bench-storage: setup ## Measure what an append costs by the length of the file
	$(BIN)/python -m tests.bench.bench_storage

.PHONY: bench-live
bench-live: setup ## Compare policies in the real processes, and load them with up to 2,000 agents
	$(BIN)/python -m tests.bench.bench_live

.PHONY: bench-agents
bench-agents: setup ## Crowds of agents on a backend short of memory, with the kernel and without
	$(BIN)/python -m tests.bench.bench_agents

.PHONY: bench-sched
bench-sched: setup ## Compare scheduling policies in simulation, on real traces
	$(BIN)/python -m tests.bench.bench_sched

.PHONY: bench-tools
bench-tools: setup ## Measure what a tool call costs by the way its tool runs, and whether a crowd waits in turn
	$(BIN)/python -m tests.bench.bench_tools

.PHONY: bench-cost
bench-cost: setup ## Measure what a call costs, by process, against a floor (LITELLM=1: its proxy beside it)
	$(BIN)/python -m tests.bench.bench_cost $(if $(LITELLM),--litellm)

.PHONY: bench-demo
bench-demo: setup ## Measure how often the demo's agents are right, over drawn seeds
	$(BIN)/python -m tests.bench.bench_demo

.PHONY: bench-exact
bench-exact: setup ## Compare preempted answers with uninterrupted ones, by driver
	$(BIN)/python -m tests.bench.bench_exact
