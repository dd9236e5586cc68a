"""A sweep that is asked to stop says what it leaves, closes its runs, and goes on when started again."""

import os
import re
import signal
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from test_sweep import Sweep

pytestmark = pytest.mark.timeout(2700)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, marks=pytest.mark.integration, id="SIGTERM"),
        pytest.param(signal.SIGINT, marks=pytest.mark.chaos, id="SIGINT"),  # CI has its unit test
    ],
)
def test_an_interrupted_sweep_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    sweep = Sweep(tmp_path)
    steps = "training.max_steps=2000"  # more than it has time for
    process = sweep.start(steps)
    assert process.stdout is not None
    seen = ""
    while ": started" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name}" in output
    assert re.search("running: (dpo|wpo)/S1_age/", output)  # which one started first is chance
    assert "the same command goes on" in output
    for noise in ("Traceback", "***", "report:"):
        assert noise not in output
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'cell'")
    assert {run.info.status for run in runs} == {"KILLED"}
    assert {run.data.tags["abandoned"] for run in runs} == {f"interrupted by {number.name}"}
    assert not [key for key in experiment.tags if key.startswith("claim.")]
    assert "4 of 4 cells finished" in sweep.run()  # with the file's own number of steps
