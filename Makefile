# `make test` and `make demo` work on a fresh clone: they make .venv, install the pinned environment and run.
# A second call finds the stamps in .venv and starts at once.
#
#   PYTHON       the interpreter that makes .venv (3.11 or newer)
#   TORCH_INDEX  the index asked for a CPU build of torch when the configured ones have none
#   TESTS        what pytest runs: make test TESTS=tests/rows, make test TESTS="-m slow"
#   DEMO         options of the demo: make demo DEMO=--quick

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
TESTS ?=
DEMO ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
STEADY := OMP_NUM_THREADS=1

.PHONY: help venv native test test-pure demo check lint types imports docs bench format clean

help:
	@echo "make native | test | test-pure | demo | check | docs | bench | format | venv | clean"

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Statewise needs Python 3.11 or newer: make PYTHON=python3.12')"
	@echo "making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv

# First the pinned CPU build from the configured indexes, then from TORCH_INDEX; only a platform that has
# no "+cpu" build (macOS) takes the plain wheel, which is a CPU build there. On Linux the plain wheel is a
# CUDA build of several gigabytes, so there we stop instead and say what to do.
.venv/.torch: constraints.txt | .venv/bin/python
	@echo "installing torch $(TORCH) (CPU, about 200 MB)"
	@$(PIP) "torch==$(TORCH)+cpu" 2>.venv/torch.log \
	  || $(PIP) --extra-index-url $(TORCH_INDEX) "torch==$(TORCH)+cpu" 2>>.venv/torch.log \
	  || { test "$$(uname)" = Darwin && $(PIP) "torch==$(TORCH)"; } \
	  || { tail -n 2 .venv/torch.log; echo "torch: no CPU build of $(TORCH) found." \
	       "Pass an index that has it: make TORCH_INDEX=https://..."; exit 2; }
	@touch $@

# The editable install is pure Python; the kernels are built in place, so that a change of theirs is one
# `make native` away.
EDITABLE := $(PIP) --config-settings=wheel.cmake=false --config-settings=wheel.py-api=py3 -e
NATIVE := src/statewise/_native.abi3.so
NATIVE_SOURCES := CMakeLists.txt $(wildcard native/*/*)

.venv/.demo: pyproject.toml constraints.txt .venv/.torch
	@echo "installing statewise"
	@$(EDITABLE) '.[demo]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt .venv/.torch
	@echo "installing statewise and the development tools (one or two minutes)"
	@$(EDITABLE) '.[dev]'
	@touch $@ .venv/.demo

venv: .venv/.dev $(NATIVE)

# A machine without a compiler runs on PyTorch alone.
$(NATIVE): $(NATIVE_SOURCES) | .venv/.torch
	@command -v cmake >/dev/null || $(PIP) cmake
	@command -v c++ >/dev/null || { echo "no C++ compiler: going on without the kernels"; exit 0; }; \
	  PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S . -B build/native -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python >build-native.log 2>&1 \
	  && PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/native -j2 >>build-native.log 2>&1 \
	  && cp build/native/_native.abi3.so $@.new && mv $@.new $@ && rm build-native.log \
	  || { tail -n 20 build-native.log; exit 2; }

native: $(NATIVE)

test: .venv/.dev $(NATIVE)
	$(STEADY) $(BIN)/python -m pytest -q $(TESTS)

# What has a compiled form, without it.
test-pure: .venv/.dev
	STATEWISE_NATIVE=0 $(STEADY) $(BIN)/python -m pytest -q tests/ops tests/cells tests/nn tests/testing

demo: .venv/.demo $(NATIVE)
	$(BIN)/statewise demo $(DEMO)

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.dev
	$(BIN)/mypy

imports: .venv/.dev
	$(BIN)/lint-imports

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: lint types imports test test-pure docs

# Runs every quality and speed command, then writes the README table from the stored results.
bench: .venv/.dev $(NATIVE)
	@$(PIP) --no-deps -r benchmarks/peers.txt
	@for script in benchmarks/quality/*.py benchmarks/speed/*.py; do \
	  module=$$(echo "$${script%.py}" | tr / .); echo "$$module"; $(BIN)/python -m "$$module" || exit 1; done
	$(BIN)/python -m benchmarks.table

clean:
	rm -rf .venv build site dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
