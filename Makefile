# Every target sets the environment up by itself when it is missing.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
V := .venv/bin
READY := .venv/.ready
CODE := src tests benchmarks docs examples tools
FAST := not slow and not kill
# Neighbours stay in one process, so what a file makes once is made once; who is done takes from the
# other's end.
PYTEST := $(V)/python -m pytest -n 2 --dist worksteal

# Any Python from 3.11 on; `make setup PYTHON=...` names another.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3 python,\
  $(shell $(p) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(p))))

export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
# pytest keeps the test files that it compiled, unless this is set: then each start compiles all.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup lock demo check lint test postgres lowest mlflow bench claims docs report format clean

setup: $(READY)

# pip's lines, with the number of packages that have been fetched so far in front.
PROGRESS = awk -v all=$$(grep -c '==' $(1)) '\
  /^ *Collecting/ { printf "[%3d/%d] %s\n", ++n, all, $$2; fflush() } \
  /^ *(Building|Preparing metadata|Downloading .*[0-9]{2} ?MB|Installing collected)/ \
    { print "          " substr($$0, 1, 80); fflush() } \
  /^ *ERROR/ { failed = 1 } failed { print; fflush() }'

$(READY): requirements-torch.txt requirements.lock pyproject.toml
	@test -x $(V)/python || test -n "$(PYTHON)" || \
	  { echo "no Python >= 3.11 was found; name one: make setup PYTHON=/path/to/python"; exit 1; }
	@test -x $(V)/python || { echo "1/4 environment in .venv"; $(PYTHON) -m venv .venv; }
	@echo "2/4 torch, and what its wheel for this machine needs"
	@$(V)/python -m pip install --disable-pip-version-check --no-color -r requirements-torch.txt 2>&1 \
	  | $(call PROGRESS,requirements-torch.txt)
	@echo "3/4 $$(grep -c '==' requirements.lock) packages of requirements.lock, each checked against its hash"
	@$(V)/python -m pip install --disable-pip-version-check --no-color --no-deps --require-hashes \
	  -r requirements.lock 2>&1 | $(call PROGRESS,requirements.lock)
	@echo "4/4 feasible itself, editable"
	@$(V)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(V)/python -m pip check
	@touch $(READY)

# Pins for Python 3.11 and later on any platform, with the hash of every file that the index has of
# them. Keeps today's pins where they fit; `make lock LOCK=--upgrade` takes the newest. MLflow's 48
# packages are left out: they are tested in an environment of their own, see `mlflow` below.
LOCKED = import tomllib; all = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
  print(*(f"--extra={extra}" for extra in all["optional-dependencies"] if extra != "mlflow"))
lock:
	test -x $(V)/python || $(PYTHON) -m venv .venv
	test -x $(V)/uv || $(V)/python -m pip install --disable-pip-version-check uv
	$(V)/uv pip compile pyproject.toml --constraint requirements-torch.txt --universal \
	  $$($(V)/python -c '$(LOCKED)') \
	  --python-version 3.11 --generate-hashes --no-annotate --no-emit-package torch \
	  --custom-compile-command "make lock" --quiet $(LOCK) --output-file requirements.lock

demo: $(READY)
	$(V)/feasible race welded-beam pressure-vessel speed-reducer \
	  --methods default,cbo-memory,cobyqa,cma-es,differential-evolution,optuna-tpe \
	  --seeds 3 --budget evaluations=100 --jobs 2 --store sqlite:///demo.db --name demo --fresh --report report.html
	@echo "next:     source .venv/bin/activate, and then: feasible --help"

lint: $(READY)
	$(V)/ruff check $(CODE)
	$(V)/ruff format --check $(CODE)
	$(V)/mypy
	$(V)/lint-imports --no-cache

check: lint
	$(PYTEST) -m "$(FAST)" tests

test: lint
	$(PYTEST) -rs tests

# The lab's tests with PostgreSQL wherever they name a file.
postgres: $(READY)
	FEASIBLE_TESTS=postgresql $(PYTEST) -rs tests/lab

# The lowest versions that pyproject.toml declares, beside the pinned torch, in an environment of
# their own: the core and the command line. pip brings what torch's wheel needs; uv, which knows the
# torch of `make lock` without its CUDA libraries, would leave that out.
LOWEST := .venv-lowest/bin/python
lowest: $(READY)
	test -x $(LOWEST) || $(PYTHON) -m venv .venv-lowest
	$(LOWEST) -m pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	$(V)/uv pip install --python $(LOWEST) --resolution lowest-direct -r requirements-torch.txt \
	  ".[blackbox,transport,training,text]" "optuna>=5.0" "pytest>=8" "hypothesis>=6.130" "mypy>=1.16" "pyyaml>=6"
	$(LOWEST) -m pytest -k "not pasted" tests/core tests/lab/test_cli.py

# MLflow's observer against the real package, in an environment of its own.
MLFLOW := .venv-mlflow/bin/python
mlflow: $(READY)
	test -x $(MLFLOW) || $(PYTHON) -m venv .venv-mlflow
	$(MLFLOW) -m pip install --quiet --disable-pip-version-check ".[mlflow]" "pytest>=8" "hypothesis>=6.130"
	$(MLFLOW) -m pytest tests/lab/test_observers.py

bench: $(READY)
	$(V)/python -m benchmarks

claims: $(READY)
	$(V)/feasible reproduce --all --scale desk
	FEASIBLE_TESTS=full $(PYTEST) -m "slow or kill or hypothesis" tests

docs: $(READY)
	$(V)/python docs/generate.py
	$(V)/mkdocs build --strict

report: $(READY)
	$(V)/feasible report demo --store sqlite:///demo.db --output report.html

format: $(READY)
	$(V)/ruff check --fix $(CODE)
	$(V)/ruff format $(CODE)

clean:
	rm -rf .venv .venv-lowest .venv-mlflow site demo.db demo.db-wal demo.db-shm report.html
