# `make demo` and `make test` set everything up themselves; everything lives in .venv and ./workspace.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test test-long check bench clean

install: $(INSTALLED)

# The constraints file names the exact versions that were tested together.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $(INSTALLED)

demo: install
	$(BIN)/vecmill build movie-reviews

test: install
	$(BIN)/python -m pytest

test-long: install
	$(BIN)/python -m pytest -m long

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks training

clean:
	rm -rf .venv workspace .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
