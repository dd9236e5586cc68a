"""A real sweep that decides how many seeds each verdict needs, killed in the middle and resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.plan.adaptive import Adaptive
from orchestrator.plan.plan import Plan
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.study.files import load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

STUDY = """
study: 적응_연구  # letters that no tool may trip over
data: {source: twin, users: 50, history: none}
splits:
  S1_age:
    by: category
    column: age
    a: [18-24 years old, 25-34 years old]
    b: [35-44 years old, 45-54 years old, 55-64 years old, 65+ years old]
    predicted: A > B
  S2_null: {by: random, predicted: A = B}
methods: {dpo: {}}
seeds: {start: 2, max: 4, until: resolved, first: [42]}
training: {max_steps: 4, batch_size: 4, max_length: 52, dtype: float32, logging_steps: 1}
resources: {cpus_per_worker: 0.9, lanes: 1}
"""


def test_an_adaptive_sweep_continues_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    config = tmp_path / "study.yaml"
    config.write_text(STUDY, encoding="utf-8")
    command = [sys.executable, "-m", "orchestrator.sweep", "--config", str(config)]
    study, places = load(config), Places("적응_연구", tmp_path)

    with (tmp_path / "output").open("w") as output:
        first = subprocess.Popen(command, stdout=output, stderr=output)
        while (tmp_path / "output").read_text().count(": done (") < 3:
            assert first.poll() is None, (tmp_path / "output").read_text()
            time.sleep(0.1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    before = set(Ledger(places).cells.finished())
    assert len(before) >= 3

    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stdout + second.stderr
    ledger = Ledger(places)
    assert before < set(ledger.cells.finished())
    assert ledger.cells.doubled() == 0

    plan = Plan.from_record(study, places)
    agenda = plan.agenda
    assert isinstance(agenda, Adaptive)
    assert not agenda.open
    assert {trial.trial_id for trial in agenda.planned} == set(ledger.cells.finished())
    verdicts = agenda.verdicts.set_index("split")
    seeds = pd.Series([trial.split for trial in agenda.planned]).value_counts()
    assert (verdicts["seeds"] == seeds[verdicts.index]).all()

    assert (verdicts["seeds"].between(2, 4)).all()
    assert set(verdicts["state"]) <= {"supported", "contradicted", "practically null", "undecided"}
    assert seeds["baseline"] == 2
    page = (places.report / "report.md").read_text()
    assert f"{len(agenda.planned)} of {len(agenda.planned)} cells finished" in page
    assert "### Verdicts, seed by seed" in page
