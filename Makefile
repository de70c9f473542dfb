# demo serves the local chat, test and check are what CI runs, bench prints the tables of docs/measurements.md

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := bot engine storage commands bench tests
INSTALLED := $(VENV)/.installed

.PHONY: demo test check bench

demo: $(INSTALLED)
	$(BIN)/python -m bot

# Four files at a time, with a thread each: they often wait for other processes, and so fill two cores.
# They start hundreds of processes, for which our modules are compiled once, whatever the environment says.
test: $(INSTALLED)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(PACKAGES)
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m bench

# The stamp is younger than what it was installed from, so that a second run installs nothing. Warnings are
# off because setuptools has a long one about editable installs. spandrel comes without its dependencies: one
# is torchvision, whose builds on PyPI do not load beside the CPU build of torch (engine/vision/spandrel_library.py).
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[engine,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps spandrel
	touch $@
