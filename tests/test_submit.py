"""`sweep --on`: what a cluster's command is given and what the user is told; the commands are stand-ins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator import sweep
from orchestrator.run import submit
from training.errors import StudyError

STUDY = """
study: s
data: {source: twin, users: 40, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [1, 2]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A study file in a home of its own, and a folder for stand-ins in front of all programs."""
    for name in (*submit.VARIABLES, "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "study.yaml").write_text(STUDY)
    return str(tmp_path / "study.yaml")


def stand_in(folder: Path, name: str, says: str = "", code: int = 0) -> Path:
    """Put a program on the path that writes its words, one a line, to the returned file."""
    program, words = folder / "bin" / name, folder / f"{name}.words"
    script = f'#!/bin/sh\nprintf \'%s\\n\' "$@" > {words}\necho "$VIRTUAL_ENV" > {words}.env\n'
    program.write_text(f"{script}echo '{says}'\nexit {code}\n")
    program.chmod(0o755)
    return words


def test_slurm_gets_the_studys_own_script_and_the_words(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = stand_in(tmp_path, "sbatch", "4711;cluster")
    typed = ["--on", "slurm", "training.max_steps=9", "--config", config, "--only", "dpo/S1/*"]
    assert sweep.main([*typed, "resources.gpus_per_worker=0"]) == 0
    script = tmp_path / "runs/s/slurm.sbatch"
    given = words.read_text().splitlines()
    assert given[:4] == [
        "--parsable",
        "--job-name=s",
        f"--output={tmp_path}/runs/s/logs/slurm-%j.log",
        str(script),
    ]
    assert given[4:] == [
        config, "training.max_steps=9", "--only", "dpo/S1/*", "resources.gpus_per_worker=0",
    ]  # fmt: skip
    told = capsys.readouterr().out
    assert "SLURM job 4711" in told
    assert f"tail -F {tmp_path}/runs/s/logs/slurm-4711.log" in told
    assert f"orchestrator.watch training.max_steps=9 --config {config} --only 'dpo/S1/*'" in told
    assert "scancel 4711" in told
    assert "--gpus" not in script.read_text()  # a node without cards can run it
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    if sys.prefix != sys.base_prefix:
        assert Path(f"{words}.env").read_text().strip() == sys.prefix
    script.write_text("#SBATCH --partition=mine\n")
    sweep.main(["--on=slurm", f"--config={config}"])
    assert script.read_text() == "#SBATCH --partition=mine\n"
    assert words.read_text().splitlines()[4:] == [config]


def test_a_ray_job_is_told_the_places_and_no_password(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = stand_in(tmp_path, "ray")
    with pytest.raises(StudyError, match="RAY_ADDRESS is not set; name the cluster"):
        sweep.main(["--config", config, "--on", "ray"])
    assert not words.exists()
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert sweep.main(["--config", config, "--on", "ray"]) == 0
    given = words.read_text().splitlines()
    assert given[:3] == ["job", "submit", "--working-dir"]
    assert given[-5:] == ["python", "-m", "orchestrator.sweep", "--config", config]
    environment = json.loads(given[given.index("--runtime-env-json") + 1])["env_vars"]
    assert environment == {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "ORCHESTRATOR_HOME": str(tmp_path)}
    number = given[given.index("--submission-id") + 1]
    told = capsys.readouterr().out
    assert f"Ray job {number}, at http://head:8265\n" in told
    assert f"ray job logs --follow {number}" in told
    assert f"ray job stop {number}" in told
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000")
    with pytest.raises(StudyError, match="MLFLOW_TRACKING_URI holds a password") as refusal:
        sweep.main(["--config", config, "--on", "ray"])
    assert "secret" not in str(refusal.value)


def test_the_background_runs_the_same_command(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$@"\nsleep 60\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert sweep.main(["--config", config, "--on", "local", "-v"]) == 0
    told = capsys.readouterr().out
    process = psutil.Process(int(told.rsplit("kill ", 1)[1]))
    assert os.getsid(process.pid) == process.pid  # the end of this terminal does not end it
    log = tmp_path / "runs/s/logs/sweep.log"
    while "orchestrator.sweep" not in log.read_text():
        assert process.is_running()
    assert log.read_text() == f"-m orchestrator.sweep --config {config} -v\n"
    assert f"orchestrator.watch --config {config}\n" in told  # without -v, which it does not know
    process.kill()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on", "slurm"], "no command sbatch on this machine; give the command on a node"),
        (["--on", "ray"], "ray refused the job: no such cluster"),
        (["--on", "local", "--dry-run"], "a job trains; leave it out"),
        (["--on", "local", "--only", "wpo/*"], "--only wpo/.: matches no cell"),
        (["--on", "local", "methods.dpo.betta=1"], "methods.dpo.betta"),
    ],
)
def test_a_mistake_is_told_here_and_nothing_is_queued(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without the cluster that this machine may belong to
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")
    stand_in(tmp_path, "ray", "no such cluster", code=1)
    with pytest.raises(StudyError, match=message):
        sweep.main(["--config", config, *words])
    assert not (tmp_path / "runs").exists()
