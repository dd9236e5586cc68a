"""The notebooks in examples/ run top to bottom, on published diffs and on the record of a small study."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import mlflow
import pytest
from made_record import fill

from orchestrator.study.files import load

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
STUDY = """
study: demo
data: {source: twin, users: 80, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}, wpo: {use_weighting: true}}
seeds: [1, 2]
training: {max_steps: 50, batch_size: 4, logging_steps: 1}
"""


def run(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a notebook's cells in its folder, and return its names; `last` holds each cell's last value."""
    monkeypatch.chdir(EXAMPLES)
    matplotlib.use("Agg")
    notebook = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in notebook["cells"])  # they are made anew, and small in git
    names: dict[str, Any] = {"last": []}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            *lines, last = "".join(cell["source"]).splitlines()
            value = f"last.append({last})" if not last.startswith((" ", ")")) and " = " not in last else last
            exec(compile("\n".join([*lines, value]), f"{name}, cell {number}", "exec"), names)
    return names


def test_published_diffs_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged, changes, _ = run("published_diffs.ipynb", monkeypatch)["last"]
    fixed = judged.loc[judged["change"] == "FIXED", "split"]
    assert len(fixed) == 2
    assert changes.loc[changes["split"].isin(fixed), "inside"].all()


@pytest.fixture
def own_tracking() -> Iterator[None]:
    """Forget the address that a notebook sets for its process."""
    yield
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own_tracking")
def test_a_finished_study_is_read_from_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    (tmp_path / "s.yaml").write_text(STUDY)
    ledger = fill(load(tmp_path / "s.yaml"), tmp_path)
    names = run("own_figure.ipynb", monkeypatch)
    assert len(names["split_cells"]) == 4
    recorded = {
        key: value["diff/pref_acc_heldout"]
        for key, value in ledger.cells.metrics().items()
        if "diff/pref_acc_heldout" in value
    }
    read = names["split_cells"].set_index("tags.trial_id")["metrics.diff/pref_acc_heldout"]
    assert read.to_dict() == pytest.approx(recorded)
    assert names["axes"].get_ylabel() == "A minus B, held out (pp)"
    judged = names["last"][-1]
    assert set(judged["method"]) == {"dpo", "wpo"}
    assert set(judged["split"]) == {"S1"}
