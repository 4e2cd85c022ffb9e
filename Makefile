# `make demo` and `make test` set everything up by themselves when the environment is missing.
PYTHON ?= python3.11
V := .venv/bin
READY := .venv/.ready
CODE := src tests benchmarks docs examples
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: setup demo test bench claims docs report format clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	test -x $(V)/python || $(PYTHON) -m venv .venv
	$(V)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(V)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: $(READY)
	$(V)/feasible race welded-beam pressure-vessel speed-reducer \
	  --methods cbo,cbo-memory,differential-evolution,cobyqa,cma-es,random-search \
	  --seeds 5 --budget evaluations=400 --jobs 2 --store sqlite:///demo.db --name demo --fresh --report report.html

test: $(READY)
	$(V)/ruff check $(CODE)
	$(V)/ruff format --check $(CODE)
	$(V)/mypy
	$(V)/lint-imports --no-cache
	$(V)/python -m pytest -n 2 tests

bench: $(READY)
	$(V)/python -m benchmarks

claims: $(READY)
	$(V)/feasible reproduce --all --scale desk

docs: $(READY)
	$(V)/python docs/generate.py
	$(V)/mkdocs build --strict

report: $(READY)
	$(V)/feasible report demo --store sqlite:///demo.db --output report.html

format: $(READY)
	$(V)/ruff check --fix $(CODE)
	$(V)/ruff format $(CODE)

clean:
	rm -rf .venv site demo.db demo.db-wal demo.db-shm report.html
