"""A wheel is all that is needed: the shipped studies are in it, and it runs from an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_a_wheel_runs_from_an_empty_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    built = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path / "dist"), str(source)]
    subprocess.run([*pip, *built], check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    environment |= {"PYTHONPATH": str(installed), "ORCHESTRATOR_HOME": str(empty)}
    for words in (["sweep", "--dry-run"], ["sweep", "--config", "v5b", "--dry-run"]):
        command = [sys.executable, "-m", f"orchestrator.{words[0]}", *words[1:]]
        told = subprocess.run(
            command, cwd=empty, env=environment, capture_output=True, text=True, check=True, timeout=900
        ).stdout
        assert "0 finished" in told
    where = "from orchestrator.study.files import CONFIGS; print(CONFIGS)"
    printed = subprocess.run(
        [sys.executable, "-c", where], cwd=empty, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert Path(printed.strip()).is_relative_to(installed)
