# `make` says what there is to do. Every target builds what it needs in `.venv`, so a machine with
# Python 3.11 or newer, git and make is enough. Another Python has an environment of its own:
# `make test PYTHON=python3.13` works in `.venv-python3.13`.

PYTHON ?= python3
PYTEST_ARGS ?=
# Who is done with a part of the tests takes over half of what another has left.
PYTEST = $(BIN)/python -m pytest -n auto --dist worksteal

VENV := .venv$(patsubst %,-%,$(filter-out python3,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
PRODUCT := $(VENV)/.product
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow coverage lint format man bench wheel clean

help: ## say what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(PRODUCT) ## run a whole pipeline in a throwaway repository and verify its record
	@$(BIN)/git-esaa demo

test: $(STAMP) ## run every test but the slow ones
	@$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-slow: $(STAMP) ## run the long soaks and fuzzes, and properties with all their examples
	@$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=full --timeout=3600 $(PYTEST_ARGS)

coverage: $(STAMP) ## run the same tests and say which lines they reach
	@$(PYTEST) -m "not slow" --cov --cov-report=term --cov-report=json:.coverage.json $(PYTEST_ARGS)

lint: $(STAMP) ## check style, types, layers and the generated man page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/man/build.py --check

format: $(STAMP) ## let ruff repair what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

man: $(STAMP) ## write the man page and the shell completions from the commands
	$(BIN)/python docs/man/build.py

bench: $(STAMP) ## measure, and compare with what was measured before
	@$(BIN)/python -m benchmarks

wheel: $(STAMP) ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## remove everything that can be made again
	rm -rf .venv .venv-* .coverage .coverage.* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The product alone, for a demo; the developers' tools come on top of it.
$(PRODUCT): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: git-esaa needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)"; \
		echo "hint: name another one, as in 'make PYTHON=python3.13 test'"; \
		exit 1; } >&2
	@echo "installing into $(VENV) (once, and again when pyproject.toml changes)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "error: '$(PYTHON)' could not make a virtual environment"; \
		echo "hint: on Debian and Ubuntu, install the package python3-venv"; \
		exit 1; } >&2
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --editable .
	@touch $@

$(STAMP): $(PRODUCT)
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
