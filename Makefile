# `make demo` and `make test` set everything up themselves; everything lives in .venv and ./workspace.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3.11)
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Packages that some tests put in front of those of .venv.
WITH_DUCKDB := .with-duckdb-
WITH_TRITON := .with-triton
SQL_TESTS := $(addprefix tests/storage/releases/test_,attached_releases.py drift.py format_versions.py macro_names.py querying.py \
	read_only_sql.py release_diff.py release_file.py release_macros.py)

# One at a time, because they share a server, and once more if they fail: without PostgreSQL, Prefect loses events when
# the machine is busy.
SERVER_TESTS := tests/flows/server tests/flows/test_operations_page.py

# Tests start hundreds of processes; without bytecode each would compile vecmill anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo ui test test-long test-servers test-without-servers test-duckdb2 test-kernels check bench clean

install: $(INSTALLED)

# The constraints file names the exact versions that were tested together.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP_INSTALL) -c constraints.txt -e '.[demo,dev]'
	touch $(INSTALLED)

demo: install
	$(BIN)/vecmill build movie-reviews

ui: install
	$(BIN)/vecmill up

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Servers mostly wait, so their tests run alongside the others, and go first where both need a core. In the order of
# the files, a test of minutes is not left to the end, when only one core has work.
test-long: install
	$(MAKE) --jobs 2 test-servers test-without-servers

test-servers: install
	$(BIN)/python -m pytest -m long -o cache_dir=.pytest_cache/servers $(SERVER_TESTS) || \
		$(BIN)/python -m pytest -m long -o cache_dir=.pytest_cache/servers --last-failed $(SERVER_TESTS)

test-without-servers: install
	nice $(BIN)/python -m pytest -m long -n 2 --dist loadfile --no-loadscope-reorder $(addprefix --ignore ,$(SERVER_TESTS))

# The extension httpfs is packaged for this version, not for the one in constraints.txt.
HTTPFS_1.4.2 := duckdb-extension-httpfs==1.4.2

$(WITH_DUCKDB)%/.installed: $(INSTALLED)
	rm -rf $(@D)
	$(PIP_INSTALL) --no-deps --target $(@D) duckdb==$* $(HTTPFS_$*)
	touch $@

# Releases must also answer in the oldest and the newest DuckDB.
test-duckdb2: $(WITH_DUCKDB)1.4.2/.installed $(WITH_DUCKDB)2.0.0/.installed
	PYTHONPATH="$(CURDIR)/$(WITH_DUCKDB)1.4.2" $(BIN)/python -m pytest -n 2 $(addprefix tests/storage/releases/test_,attached_releases.py drift.py \
		http_attachment.py macro_names.py release_macros.py)
	PYTHONPATH="$(CURDIR)/$(WITH_DUCKDB)2.0.0" $(BIN)/python -m pytest -n 2 -m '' $(SQL_TESTS)

# Triton is too large (1 GB) for everybody's environment.
$(WITH_TRITON)/.installed: $(INSTALLED)
	rm -rf $(@D)
	$(PIP_INSTALL) --no-deps -c constraints.txt --target $(@D) triton
	touch $@

# The GPU kernels, compiled ahead of time and run in Triton's interpreter: no GPU needed.
test-kernels: $(WITH_TRITON)/.installed
	PYTHONPATH="$(CURDIR)/$(WITH_TRITON)" $(BIN)/python -m pytest -n 2 tests/trainers/gpu

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The peers are installed for this alone. About 35 minutes on two cores, which must have nothing else to do.
bench: install
	$(PIP_INSTALL) -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks training-report

clean:
	rm -rf .venv $(WITH_DUCKDB)* $(WITH_TRITON) workspace .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
