# `make demo`, `make demo-scene` and `make test` each work alone on a machine with Python 3.11 or newer: they create .venv when it is
# missing and install only what is not there yet.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Byte code is compiled when a module is first used: compiling all of it would double the time of the installation.
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: demo demo-scene test lint types imports format clean

demo: $(VENV)/core
	@$(BIN)/riffle demo

demo-scene: $(VENV)/scenes
	@$(BIN)/riffle scene train indian-pines --model separable --window 15 --epochs 40 --out runs/indian-pines

test: $(VENV)/dev lint types imports
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev
	$(BIN)/mypy

imports: $(VENV)/dev
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) runs build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Riffle needs Python 3.11 or newer: make PYTHON=/path/to/python3") if sys.version_info < (3, 11) else None'
	@echo "set-up: creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/core: pyproject.toml constraints.txt | $(BIN)/python
	@echo "set-up: installing Riffle and what it needs (a minute or two, once)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/scenes: $(VENV)/core
	@echo "set-up: installing what reads scenes"
	@$(PIP) --editable '.[scenes]'
	@touch $@

$(VENV)/dev: $(VENV)/core
	@echo "set-up: installing the tools for tests"
	@$(PIP) --editable '.[dev]'
	@touch $@
