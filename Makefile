# Everything works from Python 3.11 and make alone: the first target that needs the virtual
# environment creates it and installs the project with tested versions (constraints.txt).

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMPS := $(VENV)/.stamps
INSTALL := $(PY) -m pip install --disable-pip-version-check --constraint constraints.txt
VERSION_CHECK := import sys; sys.exit(sys.version_info < (3, 11))

# The interpreter that creates the environment: make PYTHON=/path/to/python3.11 overrides the search.
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	"$$p" -c '$(VERSION_CHECK)' 2>/dev/null && { echo "$$p"; break; }; done)

# One worker per core, one thread per worker: laws that need more threads ask for them.
PYTEST ?= OMP_NUM_THREADS=1 $(PY) -m pytest
WORKERS ?= auto
PYTEST_ARGS ?=
BENCH_ARGS ?=
EXAMPLES ?= 10000
CASES ?= 1000000
CALLS ?= 10000

.DEFAULT_GOAL := help
.PHONY: help setup test check survey lint types docs bench ratios evidence faults controls powers calls activations records attention experiments kills clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: $(STAMPS)/dev ## create .venv and install dynprop with everything that tests and linters need
	@echo "==> ready: $(BIN)/dynprop"

test: $(STAMPS)/dev ## run the whole test suite
	@echo "==> tests"
	$(PYTEST) -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

check: $(STAMPS)/check ## judge a selection of released packages and print the verdicts
	@echo "==> verdicts on released packages"
	OMP_NUM_THREADS=1 $(PY) examples/survey.py --short

survey: $(STAMPS)/survey ## judge every package of examples/
	@echo "==> verdicts on all packages"
	OMP_NUM_THREADS=1 $(PY) examples/survey.py --all

lint: $(STAMPS)/dev ## ruff, import-linter, mypy --strict, also on a user's script
	@echo "==> ruff"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "==> import-linter"
	$(BIN)/lint-imports --no-logo
	@echo "==> mypy"
	$(BIN)/mypy
	@echo "==> mypy on a user's script, without the project's settings"
	$(BIN)/mypy --strict --config-file= --cache-dir=.mypy_cache/user tests/properties/user_script.py

types: $(STAMPS)/dev ## how many public names have types that pyright knows
	@echo "==> types of public names"
	PYTHONPATH=src $(BIN)/pyright --pythonpath $(abspath $(PY)) --verifytypes dynprop --ignoreexternal

docs: $(STAMPS)/dev ## make every page that is made: parts from the registry, records, executed blocks
	@echo "==> docs"
	$(PY) docs/fill.py
	$(PY) docs/generate.py
	OMP_NUM_THREADS=1 $(PY) docs/blocks.py

bench: $(STAMPS)/dev ## time what is promised to be fast, against references and committed ratios
	@echo "==> benchmarks"
	$(PYTEST) tests/bench --benchmark-enable --benchmark-only $(BENCH_ARGS)

# Some differ between processes more than within one: the largest of three is committed.
ratios: $(STAMPS)/dev ## measure the ratios of this kind of machine anew; review the diff
	@echo "==> ratios, in three processes"
	$(PYTEST) tests/bench --benchmark-enable --benchmark-only --update-ratios $(BENCH_ARGS)
	$(PYTEST) tests/bench --benchmark-enable --benchmark-only --raise-ratios $(BENCH_ARGS)
	$(PYTEST) tests/bench --benchmark-enable --benchmark-only --raise-ratios $(BENCH_ARGS)

# Long runs resume after their last whole entry; SHARD=2/4 runs every fourth entry, from the second on.
SHARD ?= 1/1
RECORD := OMP_NUM_THREADS=1 $(PY) -m dynprop.evidence.record
evidence: faults controls powers ## record faults, controls and closed forms at length (hours; resumes)
	$(PY) docs/generate.py

# ONLY="NAME ..." records these entries alone, LAW=ID one law alone: their results join the record.
faults: $(STAMPS)/dev ## record the kill matrix: every law on every planted fault (ONLY=NAME, SHARD=1/4)
	@echo "==> kill matrix"
	$(RECORD).faults --shard $(SHARD) --resume $(if $(ONLY),--only $(ONLY))

controls: $(STAMPS)/dev ## record correct implementations, EXAMPLES=10000 cases each (LAW=ID, ONLY=NAME, SHARD=1/4)
	@echo "==> controls, $(EXAMPLES) cases each"
	$(RECORD).controls --examples $(EXAMPLES) --shard $(SHARD) --resume \
		$(if $(LAW),--law $(LAW)) $(if $(ONLY),--only $(ONLY))

powers: $(STAMPS)/dev ## record closed forms, CASES=1000000 in all (SHARD=1/4)
	@echo "==> closed forms, $(CASES) cases"
	$(RECORD).powers --cases $(CASES) --shard $(SHARD) --resume

calls: $(STAMPS)/dev ## record random calls of every public function, CALLS=10000 in all (SHARD=1/4)
	@echo "==> random calls, $(CALLS)"
	$(RECORD).calls --calls $(CALLS) --shard $(SHARD) --resume
	$(PY) docs/generate.py

activations: $(STAMPS)/dev ## simulate every activation of torch.nn at its critical gain: the table of docs/products.md
	@OMP_NUM_THREADS=1 $(PY) -m tests.properties.products.gains.activation_table

records: $(STAMPS)/dev ## show names that records lack, and code that changed since they were made
	$(PY) docs/records.py

MEASURED ?= 60
SEED ?= 20261201
attention: $(STAMPS)/dev ## measure the bounds of kind linear-attention, MEASURED=60 cases a family and format (SEED=1)
	@echo "==> bounds of linear-attention"
	OMP_NUM_THREADS=1 $(PY) -m dynprop.kinds.linear_attention.measure --cases $(MEASURED) --seed $(SEED)

EXPERIMENTS ?= E1 E2 E3 E4 E5 C0 LSTM ADAM
experiments: $(STAMPS)/dev ## does SGD succeed: the experiments of docs/training.md (minutes each)
	@echo "==> experiments: $(EXPERIMENTS)"
	OMP_NUM_THREADS=1 $(PY) -m dynprop.evidence.record.experiments $(EXPERIMENTS) --record docs/evidence/training.json
	$(PY) docs/generate.py

KILLS ?= 50
kills: $(STAMPS)/dev ## kill -9 the coordinator of a sweep KILLS=50 times
	DYNPROP_KILLS=$(KILLS) DYNPROP_KILL_SEED=$$$$ $(PYTEST) tests/properties/training/sweeps/test_sweep.py -k killed -n 0

clean: ## remove the environment, caches and build outputs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find src tests examples -type d -name __pycache__ -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { \
	  echo "error: dynprop needs Python 3.11 or newer; found: $$(python3 --version 2>/dev/null || echo none)."; \
	  echo "       Install it, or name one: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@"$(PYTHON)" -c '$(VERSION_CHECK)' || { \
	  echo "error: $(PYTHON) does not run, or is older than the Python 3.11 that dynprop needs."; \
	  exit 1; } >&2
	@echo "==> creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || { \
	  echo "error: $(PYTHON) cannot create a virtual environment."; \
	  echo "       On Debian and Ubuntu its venv module is a package of its own: python3.11-venv"; \
	  exit 1; } >&2
	@mkdir -p $(STAMPS)
	@touch $@

# torch goes first and alone: whatever asks for "torch" later then finds the pinned CPU build.
$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "==> installing torch (CPU build, some 200 MB)"
	$(INSTALL) torch
	@echo "==> installing dynprop, test tools and linters"
	$(INSTALL) --editable '.[torch,dev]'
	@touch $@

$(STAMPS)/check: $(STAMPS)/dev examples/requirements-check.txt examples/requirements-check-nodeps.txt
	@echo "==> installing the packages to be judged"
	$(INSTALL) --requirement examples/requirements-check.txt
	$(INSTALL) --no-deps --requirement examples/requirements-check-nodeps.txt
	@touch $@

$(STAMPS)/survey: $(STAMPS)/check examples/requirements-survey.txt
	@echo "==> installing more packages to be judged"
	$(INSTALL) --requirement examples/requirements-survey.txt
	@touch $@
