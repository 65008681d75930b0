# Two commands do everything: `make demo` and `make test`. Each sets up what it needs in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: demo test lint format bench bench-gate bench-pipeline year clean

demo: $(VENV)/runtime
	$(BIN)/jumar demo --out run

test: lint
	@if .ci/browser; then $(BIN)/python -m pytest; \
	else echo "No Chromium here and none could be installed: the report is not looked at in a browser."; \
	     $(BIN)/python -m pytest -m "not browser"; fi
	$(BIN)/python benchmarks/gate_bench.py --quick

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The heavy figures; see benchmarks/README.md for each command and its flags.
bench: $(VENV)/dev
	$(BIN)/python benchmarks/certify.py
	$(BIN)/python benchmarks/whole_job.py
	$(BIN)/python benchmarks/score_speed.py
	$(BIN)/python benchmarks/gate_bench.py
	$(BIN)/python benchmarks/estimators.py
	$(BIN)/python benchmarks/founding.py
	$(BIN)/python benchmarks/small_gain.py
	$(BIN)/python benchmarks/learners.py
	$(BIN)/python benchmarks/reengagement.py
	$(BIN)/python benchmarks/environments.py
	$(BIN)/python benchmarks/timelines.py
	$(BIN)/python benchmarks/canary.py
	$(BIN)/python benchmarks/play_speed.py

# False releases, a year, power, audits, speed: thirty minutes on two cores; then the documents quote what was measured.
bench-gate: $(VENV)/dev
	$(BIN)/python benchmarks/gate_bench.py --store
	$(BIN)/python benchmarks/gate_bench.py --write-docs

# The whole of jumar improve on 3,000 small worlds without anything to gain: an hour on two cores.
bench-pipeline: $(VENV)/dev
	$(BIN)/python benchmarks/gate_bench.py --pipeline --store
	$(BIN)/python benchmarks/gate_bench.py --ahead --store
	$(BIN)/python benchmarks/gate_bench.py --write-docs

# The second loop for a year in a world that drifts: twenty minutes on two cores at the most.
year: $(VENV)/dev
	$(BIN)/python benchmarks/year.py --out year

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Jumar needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps obp
	@touch $@ $(VENV)/runtime

clean:
	rm -rf $(VENV) run year .pytest_cache .ruff_cache .hypothesis
