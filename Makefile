# `make demo` and `make test` need only Python (>= 3.11) and make: they set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo docs test lint slow coverage format clean

# What brim needs to run. pip leaves no byte code where PYTHONDONTWRITEBYTECODE is set, and imports are four times slower without it.
# compileall reports the few files of other packages that are templates, not Python: not an error.
$(RUN): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "brim needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	-@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@touch $@

# What its developers need besides.
$(READY): $(RUN)
	$(PIP) --editable ".[dev]"
	-@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@touch $@

DOCS := $(VENV)/.docs

$(DOCS): $(RUN)
	$(PIP) --editable ".[docs]"
	@touch $@

docs: $(DOCS)
	$(BIN)/python docs/execute.py
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/python docs/links.py

demo: $(RUN)
	@$(BIN)/python -m compileall -q src
	$(BIN)/brim demo --out demo

test: lint
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

slow: $(READY)
	$(BIN)/python -m pytest -m slow

# Which lines the tests reach. A program that is found on disk by its name is not traced, and lines that were not traced count as not
# reached: the names go, the executables stay. ROOM=tests/linalg measures one room, and adds it to what was measured before.
ROOM ?= src tests
coverage: export BRIM_CACHE_DIR := $(VENV)/.traced
coverage: $(READY)
	rm -f $(VENV)/.traced/*.name
	$(BIN)/coverage run -m pytest -m "not slow" $(ROOM)
	$(BIN)/coverage combine --append --quiet
	$(BIN)/coverage report

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) demo dist site docs/built docs/.cache .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
