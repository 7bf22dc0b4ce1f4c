# What a developer or a new user types. Python 3.11 or newer and make are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SPEC ?= deploy/campaigns/solar-absorbers.toml

.PHONY: install run test check bench chaos

install: $(STAMP)

$(STAMP): pyproject.toml deploy/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt --editable '.[server,develop]'
	touch $(STAMP)

run: install
	$(BIN)/sluice screen $(SPEC)

test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m pytest -q -s -o python_files='bench_*.py' tests/benchmarks

chaos: install
	SLUICE_TEST_FAULTS=50 $(BIN)/python -m pytest -q -s -k random_faults tests/scheduler/test_chaos.py
