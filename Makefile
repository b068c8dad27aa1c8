# make demo    from a fresh clone to the demonstration
# make test    lint, import contract, types, tests
# make docs    guide, executed notebooks and reference, into build/docs
# make nightly 50 kills, a million steps, 10^5 spoilt inputs: about an hour
# For torch without CUDA on Linux:  TORCH_INDEX=https://download.pytorch.org/whl/cpu make demo

.DELETE_ON_ERROR:
.PHONY: help demo test docs nightly clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)
TORCH_INDEX ?=
PYTHON ?=

define CHECK
import importlib.util, platform, shutil, sys
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, but this is %s. Install it and run: make PYTHON=python3.11" % platform.python_version())
if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
    sys.exit("this Python cannot create environments. On Debian or Ubuntu: sudo apt install python%d.%d-venv" % sys.version_info[:2])
wheel = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 12)
if not wheel:
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        sys.exit("PyBullet has no wheel for this platform (only Linux x86-64 with Python 3.11) and no C++ compiler is found "
                 "to build it. Install one (sudo apt install g++ python3-dev; xcode-select --install), or use Python 3.11 on Linux x86-64.")
    print("PyBullet has no wheel for this platform: it will be compiled, which takes about 12 minutes.")
endef
export CHECK

help:
	@sed -n '/^#/!q;s/^# //p' Makefile

demo: $(VENV)/.run-installed
	$(BIN)/cortical demo

test: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# tests/fuzz holds 19 such tests, so that 5,500 cases of each are 10^5; guided.py adds those of a fuzzer that sees coverage.
nightly: $(VENV)/.test-installed
	$(PIP) -e ".[fuzz]"
	$(BIN)/python -m pytest -m nightly -s tests/survival
	CORTICAL_FUZZ_CASES=5500 $(BIN)/python -m pytest tests/fuzz
	for kind in maps toml obj stl ply urdf; do \
	    $(BIN)/python tests/fuzz/guided.py $$kind -runs=5000 || exit 1; \
	done

docs: $(VENV)/.docs-installed
	$(BIN)/python demos/guide/make_site.py

$(BIN)/python:
	@python="$(PYTHON)"; \
	for name in python3.11 python3; do \
	    if [ -z "$$python" ] && $$name -c 'import sys' 2>/dev/null; then python=$$name; fi; \
	done; \
	if [ -z "$$python" ]; then echo "no python3 found: install Python 3.11 or newer" >&2; exit 1; fi; \
	$$python -c "$$CHECK" && $$python -m venv $(VENV)

# torch comes first and alone, so that its index can be chosen without hiding the other packages.
$(VENV)/.torch-installed: constraints.txt | $(BIN)/python
	@if [ -z "$(TORCH_INDEX)" ] && [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
	    echo "No NVIDIA GPU found. To save about 2 GB of CUDA: TORCH_INDEX=https://download.pytorch.org/whl/cpu make"; \
	fi
	$(BIN)/python -m pip install --disable-pip-version-check -q $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@touch $@

$(VENV)/.run-installed: pyproject.toml $(VENV)/.torch-installed
	$(PIP) -e .
	@touch $@

$(VENV)/.test-installed: pyproject.toml $(VENV)/.torch-installed
	$(PIP) "setuptools>=77" -e ".[test]"
	@touch $@ $(VENV)/.run-installed $(VENV)/.docs-installed

$(VENV)/.docs-installed: pyproject.toml $(VENV)/.torch-installed
	$(PIP) "setuptools>=77" -e ".[docs,rl]"
	@touch $@ $(VENV)/.run-installed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
