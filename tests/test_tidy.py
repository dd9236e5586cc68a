"""Superseded runs leave the views with a reason, lose nothing, and come back with a plan that wants them."""

from pathlib import Path

import pytest
from made_record import finish
from mlflow.tracking import MlflowClient

from orchestrator import status, tidy
from orchestrator.plan.tables import load_tables
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.study import grid
from orchestrator.study.files import load

pytestmark = pytest.mark.usefixtures("without_figures")

STUDY = """
study: s
data: {source: twin, users: 40, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}, wpo: {use_weighting: true}}
seeds: [1]
training: {max_steps: 50, batch_size: 4, logging_steps: 1}
"""


def test_superseded_runs_are_marked_with_the_reason_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    (tmp_path / "s.yaml").write_text(STUDY)
    study, words = load(tmp_path / "s.yaml"), ["--config", str(tmp_path / "s.yaml")]
    assert tidy.main(words) == 0
    assert "nothing is recorded under the name s" in capsys.readouterr().out
    ledger, trials, tables = Ledger(Places("s", tmp_path)), grid.expand(study), load_tables(study)
    ledger.fail(ledger.start(trials[0], {}), "boom", {})
    ledger.start(trials[0], {})  # its driver died
    for trial in [*trials, trials[0]]:
        finish(ledger, study, trial, tables)
    client, experiment = MlflowClient(ledger.uri), ledger.experiment.id

    def superseded() -> dict[str, str]:
        runs = client.search_runs([experiment], "tags.kind = 'cell' and tags.plan = 'past'")
        return {run.info.run_id: run.data.tags["superseded"] for run in runs}

    assert tidy.main(words) == 0
    assert (
        capsys.readouterr().out.splitlines()[0].startswith("3 runs taken out of the views; none is deleted")
    )
    always = superseded()
    assert sorted(always.values()) == ["another run of its cell counts", "it failed", "it was cut off"]
    assert tidy.main([*words, "methods.wpo=null"]) == 0
    assert "\n  2: the study plans its cell no longer\n" in capsys.readouterr().out
    assert len(superseded()) == 5
    assert len(client.search_runs([experiment], "tags.kind = 'cell'")) == 7
    assert status.main(words) == 0  # what is out of sight counts all the same
    assert tidy.main(words) == 0
    assert superseded() == always
