# Two commands matter: `make run` and `make test`. Both start from nothing and are quick the second time.
# `make replicate [PLAN=full]` runs every notebook.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PLAN   ?= quick
VLLM_VENV ?= .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
JOBS   ?= $(CORES)
CORES  ?= 2
# Python keeps what it compiled: without that every notebook and command compiles torch and transformers again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run replicate test test-vllm lint lab docs bench clean

run: $(STAMP)
	$(BIN)/workbench fetch
	$(BIN)/workbench audit docs/an_invented_log.md
	$(BIN)/workbench batch tour --jobs $(JOBS) --resume; status=$$?; $(BIN)/workbench report && exit $$status

replicate: $(STAMP)
	$(BIN)/workbench fetch
	$(BIN)/workbench batch $(PLAN) --jobs $(JOBS) --resume; status=$$?; $(BIN)/workbench report && exit $$status

test: $(STAMP) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadgroup --no-loadscope-reorder

# The tests of engine="vllm", in an environment of its own, since vLLM pins other releases.
test-vllm: $(VLLM_STAMP)
	TEST_VLLM=1 OMP_NUM_THREADS=1 $(VLLM_VENV)/bin/python -m pytest tests/vllm --timeout 400

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: $(STAMP)
	$(BIN)/jupyter lab notebooks

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "documentation  build/site/index.html"

bench: $(STAMP)
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/table.py

clean:
	rm -rf $(VENV) $(VLLM_VENV) runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A change of dependencies installs again; an interrupted install leaves no stamp and is simply repeated.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $(STAMP)

# Every package is named in the list, so nothing is resolved: what vLLM asks for and does not need is left out.
$(VLLM_STAMP): pyproject.toml tests/vllm/requirements.txt
	test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement tests/vllm/requirements.txt
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(VLLM_STAMP)
