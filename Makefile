# Needs Python 3.11 to 3.13 and nothing else: PYTHON=python3.12 make demo
PYTHON ?= python3
VENV ?= .venv
RECIPE ?= recipes/quickstart.yaml
PYTEST_ARGS ?= -n auto --dist loadfile

BIN := $(VENV)/bin
FRAME := setup.cfg pyproject.toml constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs wheel clean

help: ## say what can be made
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/.installed ## train, predict and score on phantoms, in minutes on two cores
	$(BIN)/medseg run $(RECIPE)

# One thread per worker: the workers share the cores already. Tests of the clock run alone.
test: $(VENV)/.installed-dev ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m clock tests/cli
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not clock" $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev ## check style, format, types and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs ## build the documentation; a warning is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

wheel: $(VENV)/.installed ## build dist/medseg-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what was built, but neither .venv nor runs/
	rm -rf build dist docs/_build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"medseg needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# Stamps, so that only a changed frame installs again. Order-only: a venv's links carry old dates.
$(VENV)/.installed: $(FRAME) | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(FRAME) | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(FRAME) | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	@touch $@ $(VENV)/.installed
