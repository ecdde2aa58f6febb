# The two to know: `make demo` and `make test`. Both make .venv first, with $(PYTHON).
PYTHON ?= python3
PIP_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-optimum test-arm lint fix docs clean

help:  ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What the main job needs.
$(STAMPS)/demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_FLAGS) -e '.[compress,demo,onnxruntime,openvino]'
	@mkdir -p $(@D) && touch $@

# What the tests and linters need.
$(STAMPS)/dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_FLAGS) -e '.[dev,compress,openvino,demo,parquet]'
	@mkdir -p $(@D) && touch $@

demo: $(STAMPS)/demo  ## Compress a real RoBERTa into out/demo and measure it
	# A few hundred calls are timed; the command that it ends with, bench, measures more. No layer is frozen:
	# in teacher and student it cost the student two points.
	# 3 says that the gate was not passed: the bundle is there, and its table worth a look.
	$(BIN)/edgeroberta compress --recipe int8-distill || test $$? -eq 3

lint: $(STAMPS)/dev  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## Lint, type-check and run the quick tests
	$(BIN)/python -m pytest -m 'not slow and not interchange and not arm' -n logical --dist worksteal

test-slow: $(STAMPS)/dev  ## Run the tests that take minutes
	$(BIN)/python -m pytest -m 'slow and not interchange and not arm'

test-optimum: $(STAMPS)/dev  ## Load bundles in Optimum, in environments of its own, in C++ and in JavaScript
	$(BIN)/python -m pytest -m interchange

test-arm: $(STAMPS)/dev  ## Run the runtime on emulated ARM, made from nothing
	$(BIN)/python -m pytest -m 'arm' -rs

fix: $(STAMPS)/dev  ## Format, and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMPS)/dev  ## Write the generated parts of docs/, build the site in build/site, check its links
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## Remove the environment, caches and results
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
