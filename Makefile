PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: help install demo screenshots services test chaos load slurm bench bench-size bench-evidence bench-adaptive calibration lint ui lock schema clean

help:            ## the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

install: .venv/.installed  ## the virtual environment with everything in it

.venv/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

demo: install    ## run the demo study to its report
	$(BIN)/python -m orchestrator.sweep

services:        ## PostgreSQL, Chromium and a Korean font for the tests that need them (Debian and its kin)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq postgresql; } \
	  || echo "PostgreSQL is missing and could not be installed here; tests that need it are skipped"
	@command -v chromedriver >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver; } \
	  || echo "Chromium is missing and could not be installed here; tests that need it are skipped"
	@ls /usr/share/fonts/truetype/nanum/*.ttf >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq fonts-nanum; } \
	  || echo "fonts-nanum is missing and could not be installed here; the test of Korean figures is skipped"

test: install services lint  ## lint, types and all tests but the long suites
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests --ignore=tests/integration
	$(BIN)/python -m pytest tests/integration
	$(BIN)/python -m pytest -m chaos tests/chaos -k mid-arm

chaos: install services  ## every fault injected into real sweeps, a table at the end (40 minutes)
	$(BIN)/python -m pytest -m chaos tests/chaos

load: install services  ## 10,000 cells against the record, 2,000 fake cells through Ray Tune
	$(BIN)/python -m bench.load

slurm: install   ## the SLURM script against a real slurmctld (root; apt-get install slurm-wlm munge)
	unshare --pid --fork --mount-proc $(BIN)/python -m pytest -m slurm tests/integration/test_slurm.py

bench: install   ## the sweep against the loop and a stock Tune + Train program; seconds a step; scoring
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.steps
	$(BIN)/python -m bench.scoring

bench-size: install  ## PRISM's tables read and paired: 5 s of processor time, plain pandas beside it
	$(BIN)/python -m bench.prism_size

bench-evidence: install  ## the evidence's speed and memory on 3.6 and 10 million rows; the same data in R
	$(BIN)/python -m bench.evidence_speed
	$(BIN)/python -m bench.evidence_speed --splits 28
	@command -v Rscript >/dev/null || echo "R is missing (apt-get install r-base-core r-cran-lme4 r-cran-mass)"
	! command -v Rscript >/dev/null || $(BIN)/python -m bench.against_r

calibration: install  ## survey models, evidence and the published rule on simulated studies (an hour)
	$(BIN)/python -m bench.survey_models
	$(BIN)/python -m bench.calibration

bench-adaptive: install  ## verdicts looked at after every seed, on simulated studies: errors, cells, the figure
	$(BIN)/python -m bench.adaptive --figure docs/seeds.png

lint: install    ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

screenshots: install services  ## pictures in docs/: the demo's live table (tmux), its record in a browser
	ORCHESTRATOR_HOME=$$(mktemp -d) && export ORCHESTRATOR_HOME && \
	  $(BIN)/python -m bench.live_table docs/live-table.svg && \
	  SCREENSHOTS=docs $(BIN)/python -m pytest tests/integration/test_ui.py

ui: install      ## the MLflow UI on this machine only
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlflow.db

lock: install    ## write the versions installed now as the constraints of the next install
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > requirements.lock

schema: install  ## write the study file's JSON schema, which editors complete from
	$(BIN)/python -m orchestrator.schema

clean:           ## forget the environment, never results
	rm -rf .venv build dist *.egg-info
