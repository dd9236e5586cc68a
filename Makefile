PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Processes that run side by side: with a thread per core in each, linear algebra would wait for itself.
ONE_THREAD := OMP_NUM_THREADS=1
# bitsandbytes would load torch's compiler into every process, which costs two seconds; no test compiles.
TEST_ENV := $(ONE_THREAD) TORCH_COMPILE_DISABLE=1

.PHONY: help install demo screenshots services test chaos schedules families card-batches load slurm bench bench-size bench-evidence bench-adaptive calibration lint ui lock schema clean card wheelhouse docs

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

install: .venv/.installed  ## create the virtual environment with everything in it

.venv/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

demo: install    ## run the demo study, including its report
	$(BIN)/python -m orchestrator.sweep

services:        ## install PostgreSQL, Chromium, a Korean font and LaTeX for the tests that need them (Debian and derivatives)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq postgresql; } \
	  || echo "PostgreSQL is missing and could not be installed here; tests that need it are skipped"
	@command -v chromedriver >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver; } \
	  || echo "Chromium is missing and could not be installed here; tests that need it are skipped"
	@ls /usr/share/fonts/truetype/nanum/*.ttf >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq fonts-nanum; } \
	  || echo "fonts-nanum is missing and could not be installed here; the test of Korean figures is skipped"
	@kpsewhich luaotfload.sty booktabs.sty >/dev/null 2>&1 || { apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends texlive-luatex texlive-latex-recommended; } \
	  || echo "LaTeX is missing and could not be installed here; the tests that compile reports are skipped"

test:            ## run lint, types and all tests except the long suites
	$(MAKE) --jobs=2 --output-sync=recurse lint services
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --durations=15 tests --ignore=tests/integration
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --durations=25 --dist loadfile --no-loadscope-reorder -m integration tests/integration tests/chaos

chaos: install services  ## inject every fault into real sweeps and print a table (80 minutes)
	$(BIN)/python -m pytest -m chaos tests/chaos tests/integration/test_interruption.py

schedules: install  ## explore a million schedules of desk, agenda, lease and checkpoints: deaths, delays, lost messages (an hour or more)
	PYTHONPATH=.:tests $(BIN)/python tests/schedules.py --count 1000000 --processes $$(nproc)

families: install ## compare every architecture of tests/families.py with stock TRL: scores, losses, gradients
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "slow or not slow" tests/test_families.py

card-batches: install ## compare 500 random batches, computed as on a card with a stand-in for its kernel, with each answer alone; compile whole arms
	$(ONE_THREAD) $(BIN)/python -m pytest -m "slow or not slow" tests/test_card.py tests/test_compiled.py

load: install services  ## look up 10,000 cells in the record, run 2,000 fake cells through Ray Tune
	$(BIN)/python -m bench.load

slurm: install   ## run the SLURM script against a real slurmctld (root; apt-get install slurm-wlm munge)
	unshare --pid --fork --mount-proc $(BIN)/python -m pytest -m slurm tests/integration/test_slurm.py

bench: install   ## compare the sweep with a loop and with stock Tune + Train; time steps and scoring
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.steps
	$(BIN)/python -m bench.adapters
	$(BIN)/python -m bench.scoring

bench-size: install  ## check that tables of PRISM's size are read and paired in 5 s of processor time, and a million ratings in 60 s
	$(BIN)/python -m bench.prism_size
	$(BIN)/python -m bench.rating_rows

bench-evidence: install  ## measure the evidence on 3.6 and 10 million rows, and compare it with R
	$(BIN)/python -m bench.evidence_speed
	$(BIN)/python -m bench.evidence_speed --splits 28
	$(BIN)/python -m bench.evidence_speed --items 6000
	$(BIN)/python -m bench.evidence_speed --one-table
	@command -v Rscript >/dev/null || echo "R is missing (apt-get install r-base-core r-cran-lme4 r-cran-mass r-cran-clubsandwich)"
	! command -v Rscript >/dev/null || $(BIN)/python -m bench.against_r

calibration: install  ## check survey models, evidence and the published rule on simulated studies (50 minutes)
	$(ONE_THREAD) $(BIN)/python -m bench.survey_models
	$(MAKE) --jobs=2 --output-sync=target bench.few_seeds bench.calibration bench.shrunken bench.shared_items

bench.%:         # of those above, each takes one core
	$(ONE_THREAD) $(BIN)/python -m $@

bench-adaptive: install  ## check the seed-by-seed verdicts on simulated studies: errors, cells, the figure
	$(BIN)/python -m bench.adaptive --figure docs/seeds.png

lint: install    ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

screenshots: install services  ## take the pictures in docs/: the demo's live table (tmux) and its record in a browser
	ORCHESTRATOR_HOME=$$(mktemp -d) && export ORCHESTRATOR_HOME && \
	  $(BIN)/python -m bench.live_table docs/live-table.svg && \
	  SCREENSHOTS=docs $(BIN)/python -m pytest tests/integration/test_ui.py

ui: install      ## open the verdicts in the MLflow UI, on this machine only
	$(BIN)/python -m orchestrator.ui

docs: install    ## build the documentation as a site with a search: site/index.html
	$(BIN)/python docs/site.py site

wheelhouse:      ## gather in wheelhouse/ what a machine without internet installs from (docs/clusters.md)
	$(PYTHON) -m pip wheel -q --disable-pip-version-check -c requirements.lock -w wheelhouse '.[qlora]'

card: install    ## measure a GPU in at most 8 minutes; results are kept as they come, and printed as a table
	$(BIN)/python -m bench.card all

lock: install    ## write the installed versions to requirements.lock, which constrains the next install
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > requirements.lock

schema: install  ## write the JSON schema of study files, which editors use to complete and check them
	$(BIN)/python -m orchestrator.schema

clean:           ## delete the environment, never results
	rm -rf .venv build dist *.egg-info
