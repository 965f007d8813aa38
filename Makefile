PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTO_VENV := .venv-protos
GENERATED := sdk/python/src

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F '\t' '{printf "  %-16s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamp changes with the lock and the packaging, so that a pull that changes either installs again.
$(VENV)/.installed: requirements.lock pyproject.toml sdk/python/pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
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
