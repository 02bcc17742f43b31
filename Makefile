# make demo: set up .venv and do the main job on this machine. make test: set up .venv, then lint, types, all tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types contract tests benchmarks clean
.DELETE_ON_ERROR:

demo: .venv/ready
	$(BIN)/python examples/demo.py

test: lint types contract tests

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

contract: .venv/ready
	$(BIN)/lint-imports

# All marks but those that need a machine or an extra of their own; the default `pytest` leaves `slow` out, too.
tests: .venv/ready
	$(BIN)/pytest -m "not gpu and not ray"

benchmarks: .venv/ready
	$(BIN)/python benchmarks/accuracy_cpu.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/read_dataset.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "latpred needs Python 3.11 to 3.13: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
