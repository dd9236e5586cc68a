"""Published numbers, by the commands that a user types: in MLflow beside a study, and alone without one."""

import re
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from orchestrator import report

ROOT = Path(__file__).parent.parent
V3_DIFFS = """study,method,split,seed,diff_pp
v3,dpo,S1_age,42,1.56
v3,dpo,S1_age,123,-5.47
v3,dpo,S1_age,456,-0.78
v3,dpo,S2_safety,42,4.69
v3,dpo,S2_safety,123,10.16
v3,dpo,S3_region,42,0.78
"""
V3_PREDICTIONS = "study,split,predicted\nv3,S1_age,A > B\nv3,S2_safety,A < B\nv3,S3_region,A = B\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("diffs.csv").write_text(V3_DIFFS)
    Path("predictions.csv").write_text(V3_PREDICTIONS)
    return tmp_path


def test_a_published_reference_enters_mlflow_once_and_appears_in_the_studys_report(home: Path) -> None:
    command = ["--config", "demo", "data.users=60", "methods.dpo.published=diffs.csv"]
    for _ in range(2):
        assert report.main(command) == 1  # the method's own cells are still to be trained
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("demo")
    runs = client.search_runs([experiment.experiment_id], "tags.published = 'true'")
    assert len(runs) == 6
    assert {run.data.metrics["diff/pref_acc_tail"] for run in runs} >= {0.015625, -0.0546875}
    page = (home / "runs/demo/report/report.md").read_text()
    assert "\n# demo: 6 of 14 cells published, on generated data\n" in page
    assert "| dpo | S1_age | A > B | 3 | -1.56 |" in page
    assert "nan" not in page.lower()


def test_a_study_whose_methods_are_all_published_gets_a_report(home: Path) -> None:
    (home / "diffs.csv").write_text(V3_DIFFS + V3_DIFFS.partition("\n")[2].replace("dpo", "wpo"))
    published = [f"methods.{method}.published=diffs.csv" for method in ("dpo", "wpo")]
    assert report.main(["--config", "demo", "data.users=60", *published]) == 0
    page = (home / "runs/demo/report/report.md").read_text()
    assert "\n# demo: 12 of 12 cells published, on generated data\n" in page


def test_published_diffs_alone_need_no_record(home: Path) -> None:
    flags = ["--diffs", "diffs.csv", "--predictions", "predictions.csv", "--reference", "dpo"]
    assert report.main([*flags, "--out", "out"]) == 0
    assert not (home / "mlflow.db").exists()
    other = home / "out" / "verdicts.csv"
    assert report.main([*flags, "--out", "again", "--crosscheck", str(other)]) == 0
    assert pd.read_csv("again/crosscheck.csv")["agree"].all()
    assert "Same verdict: 3 of 3; same direction: 3 of 3." in Path("again/report.md").read_text()


def test_a_predicted_split_that_vanished_keeps_its_place_in_the_family(home: Path) -> None:
    flags = ["--diffs", "diffs.csv", "--reference", "dpo", "--predictions"]
    assert report.main([*flags, "predictions.csv", "--out", "all"]) == 0
    Path("more.csv").write_text(V3_PREDICTIONS + "v3,S4_vanished,A > B\n")
    assert report.main([*flags, "more.csv", "--out", "more"]) == 0
    three, four = (pd.read_csv(f"{out}/evidence_tail.csv").set_index("split") for out in ("all", "more"))
    assert four.loc["S1_age", "p_holm"] == pytest.approx(min(1, three.loc["S1_age", "p_holm"] * 4 / 3))
    assert four.loc["S1_age", "high_adjusted"] > three.loc["S1_age", "high_adjusted"]
    assert "the 4 predicted splits of a method" in Path("more/report.md").read_text()


def test_the_shipped_example_is_what_its_command_writes(tmp_path: Path) -> None:
    """If this fails, run the command of docs/statistics.md again and look at what changed."""
    (command,) = re.findall(
        r"`python -m orchestrator.report (.*) --out docs/example`", (ROOT / "docs/statistics.md").read_text()
    )
    arguments = [str(ROOT / word) if word.startswith("configs/") else word for word in command.split()]
    assert report.main([*arguments, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "report.md").read_text() == (ROOT / "docs/example/report.md").read_text()
