"""A wheel is enough: it holds every package and the shipped studies, and it runs from an empty folder."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the newest commit."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    options = ["--no-deps", "--no-build-isolation", "-w", str(folder / "dist")]
    subprocess.run([*PIP, "wheel", *options, str(source)], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def test_a_wheel_holds_every_module_and_the_licence(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*/py.typed"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    modules = {file for file in tracked if file.split("/")[0] in ("orchestrator", "training", "stats")}
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert modules <= packed
    assert any(name.endswith("LICENSE") for name in packed)


def test_a_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True)
    empty.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    environment |= {"PYTHONPATH": str(installed), "ORCHESTRATOR_HOME": str(empty)}

    def output(*command: str) -> str:
        return subprocess.run(
            command, cwd=empty, env=environment, capture_output=True, text=True, check=True, timeout=900
        ).stdout

    script = str(installed / "bin" / "preference-orchestrator")
    assert "0 finished" in output(sys.executable, "-m", "orchestrator.sweep", "--dry-run")
    assert "0 finished" in output(script, "sweep", "--config", "v5b", "--dry-run")
    configs = output(sys.executable, "-c", "from orchestrator.study.files import CONFIGS; print(CONFIGS)")
    assert Path(configs.strip()).is_relative_to(installed)
