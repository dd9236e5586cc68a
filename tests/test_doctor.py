"""A moved or copied project folder is refused with both places, and the doctor repairs its record."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_record import fill

from orchestrator import doctor, report, status
from orchestrator.study.files import load
from training.errors import StudyError

ROOT = Path(__file__).resolve().parents[1]
STUDY = """
study: {name}
data: {{source: twin, users: 60, history: none}}
splits: {{S1: {{by: random, predicted: A = B}}}}
methods: {{dpo: {{}}}}
seeds: [1, 2]
training: {{max_steps: 50, batch_size: 4, logging_steps: 1}}
"""


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished study in the project folder `old`, beside another one in the same record."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("other", "s"):
        (tmp_path / f"{name}.yaml").write_text(STUDY.format(name=name))
        fill(load(tmp_path / f"{name}.yaml"), tmp_path / "old")
    return str(tmp_path / "s.yaml")


@pytest.mark.parametrize("move", [Path.rename, shutil.copytree], ids=["moved", "copied"])
def test_a_moved_project_is_refused_until_its_record_is_repaired(
    study_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], move
) -> None:
    old, new = tmp_path / "old", tmp_path / "new_%place"
    move(old, new)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(new))
    for command in (status, report, doctor):
        with pytest.raises(StudyError, match=r"orchestrator\.doctor --move") as refusal:
            command.main(["--config", study_file])
        assert str(old) in str(refusal.value)
        assert str(new) in str(refusal.value)
    assert doctor.main(["--config", study_file, "--move"]) == 0
    assert "4 finished cells are whole, 0 are damaged" in capsys.readouterr().out
    if old.exists():
        shutil.rmtree(old)
    for file in (study_file, str(tmp_path / "other.yaml")):
        # MLflow remembers, for as long as its process lives, where a run's artifacts were.
        words = [sys.executable, "-m", "orchestrator.report", "--config", file]
        assert subprocess.run(words, check=False, cwd=ROOT).returncode == 0
    assert not old.exists()


def test_the_doctor_names_damaged_cells_and_moves_nothing_without_tables(
    study_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "old"))
    table = next((tmp_path / "old" / "mlartifacts" / "s").rglob("curves.parquet"))
    table.write_bytes(table.read_bytes()[:-9])
    assert doctor.main(["--config", study_file]) == 1
    assert "3 finished cells are whole, 1 are damaged: dpo/" in capsys.readouterr().out
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "old" / "mlflow.db", tmp_path / "new" / "mlflow.db")
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "new"))
    with pytest.raises(StudyError, match=r"--move: no tables in .*new/mlartifacts/s; copy the folder"):
        doctor.main(["--config", study_file, "--move"])
