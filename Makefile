# Every target sets up its own .venv first; nothing needs to be installed by hand but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test alfworld server lint format types bench clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,plots,intercode,mcp]"
	@touch $@

demo: $(INSTALLED)  ## plan BlocksWorld problems offline, with live progress
	$(BIN)/linvit demo

test: $(INSTALLED)  ## the whole test suite; missing real parts are skipped with a reason
	$(BIN)/python -m pytest -n 3 --dist worksteal tests

alfworld: $(INSTALLED)  ## add the ALFWorld engine: two minutes, needs gcc and g++; without it its tests are skipped
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[alfworld]"

server: $(INSTALLED)  ## add the LangGraph server that serves graphs/; without it its tests are skipped
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[serve]"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(INSTALLED)
	$(BIN)/mypy

bench: $(INSTALLED)  ## speed, as ratios measured side by side in one run
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
