# The short way to everything. `make help` lists it; CMakePresets.json is the long way.
# SPDX-License-Identifier: MIT

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= $(shell nproc)
# The Python that runs this build in `make bench`; if it has PyTorch, that is measured beside.
BENCH_PYTHON ?= $(VENV)/bin/python
# Where `make bench-peers` installs what it compares with.
PEERS ?= build/peers

BIN := $(VENV)/bin
# A missing kernel is an error in tests, not a detour.
TEST_ENV := TINYFIN_FALLBACK=error TINYFIN_BACKEND_PATH=$(CURDIR)/build/release/lib/tinyfin/backends-0

# What depends on the instruction set: every op.
OPS_TESTS := tests/python/test_ops.py tests/python/test_norm.py tests/python/test_activations.py

# What the build needs from a Debian-like system.
PACKAGES := cmake ninja-build zlib1g-dev libgtest-dev python3-dev python3-venv pkg-config
# What makes tests and benchmarks say more: emulated processors, a library to compare with.
EXTRAS   := qemu-user libopenblas-dev
# The cross compiler for 64-bit ARM, its libraries, and what runs its programs.
AARCH64  := g++-aarch64-linux-gnu libstdc++6:arm64 zlib1g-dev:arm64 libgtest-dev:arm64 qemu-user
# What it needs from PyPI, in the virtual environment.
MODULES  := cffi scikit-build-core numpy scipy pytest matplotlib tqdm ruff ml_dtypes

.DEFAULT_GOAL := help
.PHONY: help setup extras build package install demo test test-cpp test-python test-vmath check-generated asan ubsan tsan aarch64 aarch64-setup bench bench-peers performance format docs size clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: PYTHON=$(PYTHON) VENV=$(VENV) JOBS=$(JOBS)"

# Setup --------------------------------------------------------------------------------------------

setup: $(VENV)/.modules ## install what the build needs (apt as root), make the virtual environment

# $(call apt,packages,what comes before): installs those that are missing, or says how.
define apt
if ! command -v dpkg-query >/dev/null; then \
  echo "not a Debian-like system; these are expected to be there: $(1)"; \
else \
  missing=; \
  for p in $(1); do \
    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
  done; \
  if [ -n "$$missing" ]; then \
    if [ "$$(id -u)" = 0 ]; then \
      $(if $(2),$(2) &&) apt-get update -qq && \
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
    else \
      echo "Some packages are missing. Run this, then make again:"; \
      echo "  $(if $(2),sudo $(2) && sudo apt-get update && )sudo apt-get install -y --no-install-recommends$$missing"; \
      exit 1; \
    fi; \
  fi; \
fi
endef

build/.packages: Makefile
	@mkdir -p build
	@$(call apt,$(PACKAGES))
	@touch $@

extras: ## emulated old processors for the tests, OpenBLAS for bench_gemm (apt as root)
	@$(call apt,$(EXTRAS))

$(VENV)/.modules: build/.packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(MODULES)
	@touch $@

# Build --------------------------------------------------------------------------------------------

build/release/build.ninja: | setup
	cmake --preset release -DPython_EXECUTABLE=$(abspath $(BIN))/python

build: build/release/build.ninja ## compile everything
	@cmake --build --preset release -j $(JOBS)

package: build/release/build.ninja ## compile the library, its plugins and the Python extension only
	@cmake --build --preset release -j $(JOBS) --target package

# pip goes through the same build directory: nothing is compiled twice.
$(VENV)/.installed: $(wildcard build/release/lib/libtinyfin.so build/release/python/tinyfin/*.so \
                      build/release/lib/tinyfin/backends-0/*.so include/tinyfin/*) pyproject.toml \
                    $(shell find bindings/python/tinyfin -name '*.py' -o -name '*.pyi')
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps \
	  --force-reinstall -Cbuild-dir=build/release .
	@touch $@

install: package ## install the Python package into the virtual environment
	@$(MAKE) -s --no-print-directory $(VENV)/.installed

# Use ----------------------------------------------------------------------------------------------

demo: install ## train an MLP on MNIST and draw what it learnt
	@mkdir -p build/demo
	@$(BIN)/python examples/python/mnist_mlp.py --epochs 5 --plot build/demo/mnist_mlp.png

test: test-cpp check-generated test-python ## run all tests

test-cpp: build
	@ctest --preset release -j $(JOBS)

check-generated: build
	@$(BIN)/python bindings/gen/generate.py --check

test-python: install
	@$(TEST_ENV) $(BIN)/python -m pytest tests/python
	@for isa in avx2 generic; do \
	  echo "every op again with TINYFIN_ISA=$$isa"; \
	  TINYFIN_ISA=$$isa $(TEST_ENV) $(BIN)/python -m pytest -q $(OPS_TESTS) || exit 1; \
	done

test-vmath: build ## every float through every function of vector math, on every instruction set (minutes)
	@for isa in avx512 avx2; do \
	  echo "TINYFIN_ISA=$$isa"; \
	  TINYFIN_ISA=$$isa $(TEST_ENV) build/release/bin/tinyfin_tests --gtest_brief=1 \
	    --gtest_also_run_disabled_tests --gtest_filter='EveryFloat.*' || exit 1; \
	done

asan ubsan tsan: build/.packages ## the C and C++ tests under a sanitizer
	@test -f build/$@/build.ninja || cmake --preset $@
	@cmake --build --preset $@ -j $(JOBS)
	@ctest --preset $@ -j $(JOBS)

aarch64-setup: build/.packages ## the cross compiler for 64-bit ARM and qemu (apt as root)
	@$(call apt,$(AARCH64),dpkg --add-architecture arm64)

aarch64: aarch64-setup ## the C and C++ tests with NEON: cross-compiled, run by qemu
	@test -f build/aarch64/build.ninja || cmake --preset aarch64
	@cmake --build --preset aarch64 -j $(JOBS)
	@ctest --preset aarch64 -j $(JOBS)

BENCHMARKS := env PYTHONPATH=build/release/python $(BENCH_PYTHON) -m benchmarks

bench: build ## measure against the machine's roof, and PyTorch where it is installed: BENCH="mlp cnn"
	@$(BENCHMARKS) $(BENCH)

bench-peers: build $(PEERS)/.installed $(PEERS)/libtuned.so ## measure beside PyTorch, JAX, ONNX Runtime: BENCH="mlp"
	@$(BENCHMARKS) --peers $(PEERS)/venv/bin/python --shim $(PEERS)/libtuned.so $(BENCH)

performance: ## write docs/performance.md and its pictures from the published results
	@$(BENCH_PYTHON) -m benchmarks.report

# PyTorch without CUDA: from an index that is configured here, or from PyTorch's own.
TORCH := 2.13.0
$(PEERS)/.installed: benchmarks/peers/requirements.txt
	@mkdir -p $(PEERS)
	@test -x $(PEERS)/venv/bin/python || $(PYTHON) -m venv $(PEERS)/venv
	$(PEERS)/venv/bin/python -m pip install -q --disable-pip-version-check -r $<
	@$(PEERS)/venv/bin/python -m pip install -q --disable-pip-version-check torch==$(TORCH)+cpu 2>/dev/null || \
	  $(PEERS)/venv/bin/python -m pip install -q --disable-pip-version-check torch==$(TORCH) --index-url https://download.pytorch.org/whl/cpu
	@touch $@

$(PEERS)/libtuned.so: benchmarks/peers/tuned.c
	@mkdir -p $(PEERS)
	$(CC) -shared -fPIC -O2 -o $@ $<

# Care ---------------------------------------------------------------------------------------------

format: setup ## format the sources
	@command -v clang-format >/dev/null || { echo "clang-format is missing: apt-get install clang-format"; exit 1; }
	git ls-files '*.h' '*.hpp' '*.c' '*.cpp' '*.cu' | xargs grep -L 'Generated by bindings/gen' | xargs clang-format -i
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: ## the public headers as pages in build/docs
	@command -v doxygen >/dev/null || { echo "doxygen is missing: apt-get install doxygen"; exit 1; }
	@mkdir -p build/docs && doxygen -q docs/Doxyfile && echo "build/docs/html/index.html"

size: package ## bytes of the stripped library
	@cmake --build --preset release --target size | tail -n 1

clean: ## remove everything that was built
	rm -rf build $(VENV)/.installed
