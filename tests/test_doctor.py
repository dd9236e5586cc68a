"""The doctor names each problem with the way out, and repairs the record of a moved project folder."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_record import fill

from orchestrator import doctor, report, status
from orchestrator.record import check_versions
from orchestrator.run import check_machine, exposure
from orchestrator.study.files import load
from training.errors import StudyError

pytestmark = pytest.mark.usefixtures("without_figures")

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


def problems(capsys: pytest.CaptureFixture[str], thing: str) -> list[str]:
    """Return the doctor's lines about problems with a thing."""
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"problem {thing}: ")]


@pytest.mark.parametrize("move", [Path.rename, shutil.copytree], ids=["moved", "copied"])
def test_a_moved_project_is_refused_until_its_record_is_repaired(
    study_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], move
) -> None:
    old, new = tmp_path / "old", tmp_path / "new_%place"
    move(old, new)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(new))
    for command in (status, report):
        with pytest.raises(StudyError, match=r"orchestrator\.doctor --move") as refusal:
            command.main(["--config", study_file])
        assert str(old) in str(refusal.value)
        assert str(new) in str(refusal.value)
    doctor.main(["--config", study_file])
    (line,) = problems(capsys, "record")
    assert "orchestrator.doctor --move" in line
    doctor.main(["--config", study_file, "--move"])
    assert "OK      record: 4 finished cells are whole, 0 are damaged\n" in capsys.readouterr().out
    if old.exists():
        shutil.rmtree(old)
    # MLflow remembers, for as long as its process lives, where a run's artifacts were.
    code = "import sys; from orchestrator.report import main as report;"
    code += "sys.exit(max(report(['--config', file]) for file in sys.argv[1:]))"
    words = [sys.executable, "-c", code, study_file, str(tmp_path / "other.yaml")]
    subprocess.run(words, check=True, cwd=ROOT)
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


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in which nothing but what a test plants is a problem; returns its home."""
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_AUTH_MODE", "ORCHESTRATOR_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "ray"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    # The room on this machine's disk and its libraries are not what these tests are about.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=9e10))
    (tmp_path / "lock.txt").write_text(f"mlflow=={version('mlflow')}\nnot-installed==1\n")
    monkeypatch.setattr(check_versions, "LOCK", tmp_path / "lock.txt")
    return tmp_path


def test_without_a_problem_the_exit_code_is_0_and_nothing_is_created(
    healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(["study=nothing_yet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("OK      ") for line in lines)
    things = [line.split()[1] for line in lines]
    assert things == ["versions:", "cards:", "Ray:", "home:", "disk:", "clock:", "MLflow:", "record:"]
    assert {path.name for path in healthy.iterdir()} == {"lock.txt"}


class _Server(BaseHTTPRequestHandler):
    """An MLflow server of another version, whose clock is an hour behind."""

    def do_POST(self) -> None:
        self._answer(b"{}")

    def do_GET(self) -> None:
        self._answer(b"2.9.1")

    def _answer(self, body: bytes) -> None:
        self.send_response_only(200)
        self.send_header("Date", formatdate(time.time() - 3600, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Print nothing."""


def test_a_server_of_another_version_and_clock_is_named(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        assert doctor.main(["study=s"]) == 1
        server.shutdown()
    printed = capsys.readouterr().out
    assert f"problem MLflow: the server has version 2.9.1, this environment {version('mlflow')}; " in printed
    assert re.search(r"problem clock: this machine's differs by \+360\d s", printed)


def _old_lock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "lock.txt").write_text("mlflow==1.0\n")


def _job_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")


def _open_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "token").write_text("0" * 64)
    (home / "token").chmod(0o644)
    monkeypatch.setattr(exposure, "_reachable", Path.exists)  # pytest's own folders are closed to others


def _dead_head(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")


def _open_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.chmod(0o777)


def _full_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3e8))


def _fast_clock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system's clock runs behind this machine's."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 90)


def _blind_torch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(home, monkeypatch, "nvidia-smi", "echo 'Some Card, 535.1, 24564 MiB'")
    monkeypatch.setattr(check_machine, "device", lambda: "cpu")


def _program(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Put a program in front of all others."""
    (home / "bin").mkdir()
    (home / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (home / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("plant", "thing", "parts"),
    [
        (_old_lock, "versions", [f"mlflow {version('mlflow')} (1.0)", "-m pip install -c requirements.lock"]),
        (_job_server, "Ray", ["RAY_ADDRESS http://127.0.0.1:8265: Ray's job server", "unset RAY_ADDRESS"]),
        (_open_token, "Ray", ["is open to others (mode 644)", "chmod 600"]),
        (_dead_head, "Ray", ["nothing answers at RAY_ADDRESS 127.0.0.1:1", "unset RAY_ADDRESS"]),
        (_open_home, "home", ["can be changed by every user (mode 777)", "chmod o-w"]),
        (_full_disk, "disk", ["0.3 GB free", "ORCHESTRATOR_HOME"]),
        (_fast_clock, "clock", ["differs by +90 s", "time server"]),
        (_blind_torch, "cards", ["Some Card, 535.1, 24564 MiB, but torch sees none", "newer driver"]),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_problem_is_named_with_the_way_out(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plant, thing, parts
) -> None:
    plant(healthy, monkeypatch)
    assert doctor.main(["study=s"]) == 1
    line = problems(capsys, thing)[0]
    for part in parts:
        assert part in line


def test_a_study_that_wants_cards_or_shares_them_is_told_what_is_missing(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_machine, "device", lambda: "cpu")
    monkeypatch.setenv("PATH", str(healthy))  # without nvidia-smi
    assert doctor.main(["study=s", "resources.gpus_per_worker=0.5"]) == 1
    assert "the study's cells want one; set RAY_ADDRESS" in problems(capsys, "cards")[0]
    monkeypatch.setattr(check_machine, "device", lambda: "Some Card")
    assert doctor.main(["study=s", "resources.gpus_per_worker=0.5"]) == 1
    assert "take turns" in problems(capsys, "MPS")[0]
