# Two commands do everything: `make run` and `make test`. They need Python 3.11 or newer, and nothing else.

VENV := .venv
BIN := $(VENV)/bin
TEST_EXTRAS ?= test
TORCH ?= torch==2.13.0
FIND_PYTHON = for p in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done

.PHONY: run test test-engines bench lint format clean help

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

run: $(VENV)/.run ## Set up, start the gateway, and say how to use it
	@exec $(BIN)/voxwire serve

test: $(VENV)/.$(TEST_EXTRAS) ## Set up and run the tests
	$(BIN)/python -m pytest -m "not engines" $(ARGS)

test-engines: $(VENV)/.engines ## Set up the heavy engines (3 GB) and run their tests
	VOXWIRE_REQUIRE="$(VOXWIRE_REQUIRE),engines" $(BIN)/python -m pytest -m engines $(ARGS)

bench: $(VENV)/.bench ## Measure this machine; ARGS=--quick takes fewer rounds
	$(BIN)/python -m tests.bench $(ARGS)

lint: $(VENV)/.lint ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.lint ## Put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what the commands above have made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "Voxwire needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# torch comes first, so that what stands on it does not choose one; TORCH=... names the build for this machine.
$(VENV)/.engines: $(BIN)/python pyproject.toml
	@echo "Installing the engines (several minutes, the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check -q $(TORCH)
	@$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[test,orpheus,piper,coqui,qwen,kokoro,engines]'
	@touch $@

# One stamp for each set of packages: the second time nothing is asked of pip at all.
$(VENV)/.run: $(BIN)/python pyproject.toml
	@echo "Installing (a minute, the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check -q -e .
	@touch $@

$(VENV)/.%: $(BIN)/python pyproject.toml
	@echo "Installing for $* (a minute or two, the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[$*]'
	@touch $@
