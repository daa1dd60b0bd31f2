# Two commands do everything on a fresh machine:  make demo   ·   make test
# PYTHON chooses the interpreter for the virtual environment (3.10 or newer).

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One exact version: pip then takes the small CPU build where one is offered. A range could pull
# gigabytes of CUDA libraries. For a GPU machine: make setup TORCH="torch"
TORCH  ?= torch==2.13.0
READY  := $(VENV)/.ready

.PHONY: setup demo test bench lint format docs clean

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "selfcog needs Python 3.10 or newer; found: $$($(PYTHON) --version). Try: make setup PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $(READY)

demo: setup
	$(BIN)/selfcog demo --output_dir demo-output

# One thread a worker: the workers share the cores.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# selfcog beside every peer that is installed (benchmarks/peers.md); an hour on two cores. For
# example: make bench BENCH="--only train --models S --out docs/benchmarks.md"
bench: setup
	$(BIN)/python -m benchmarks $(BENCH)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	$(BIN)/python -m selfcog.config.help > docs/flags.md
	$(BIN)/python -m selfcog.train.estimate docs/scaling.md

clean:
	rm -rf $(VENV) build dist src/*.egg-info demo-output output
