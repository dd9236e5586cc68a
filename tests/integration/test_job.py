"""`ray start --head` and `ray job submit` as the README describes them, with token authentication on."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from head import BIN, Head, own_head
from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with own_head(tmp_path_factory.mktemp("head"), "--num-cpus=2") as head:
        yield head


@pytest.fixture(scope="module")
def cluster(head: Head) -> dict[str, str]:
    return head.submitter


def ray(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "ray", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def submit(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Submit a sweep with `ray job submit`, once the head node answers."""
    for _ in range(90):
        command = ["--working-dir", ".", "--", "python", "-m", "orchestrator.sweep", *words]
        submitted = ray(environment, "job", "submit", *command)
        if not re.search("Failed to connect|No available agent", submitted.stdout + submitted.stderr):
            break
        time.sleep(2)
    return submitted


def hand_over(environment: dict[str, str], *words: str) -> str:
    """Submit a sweep with `--on ray`, once the head node answers, and return the id that it prints."""
    command = [BIN / "python", "-m", "orchestrator.sweep", "--on", "ray", *words]
    for _ in range(90):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode == 0:
            break
        time.sleep(2)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rsplit("ray job stop ", 1)[1].strip()


# Its cells take long enough that `ray job stop` takes effect before the last one ends.
JOB_STUDY = """
study: job
data: {source: twin, users: 40, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42, 43]
training: {max_steps: 40, batch_size: 4, max_length: 128, dtype: float32, logging_steps: 1}
resources: {cpus_per_worker: 0.9, lanes: 1, deepspeed: zero2}
"""


def finished_cells(environment: dict[str, str]) -> dict[str, str]:
    """Return run_id -> name of the finished cells in the record."""
    client = MlflowClient(f"sqlite:///{environment['ORCHESTRATOR_HOME']}/mlflow.db")
    experiment = client.get_experiment_by_name("job")
    if experiment is None:
        return {}
    runs = client.search_runs(
        [experiment.experiment_id], "tags.kind = 'cell' and attributes.status = 'FINISHED'"
    )
    return {run.info.run_id: str(run.info.run_name) for run in runs}


def test_a_stopped_job_continues_under_a_restarted_head(
    head: Head, cluster: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(JOB_STUDY)
    number = hand_over(cluster, "--config", str(config))
    # The job's log file shows a line sooner than `ray job logs` does.
    log = Path(cluster["RAY_TMPDIR"]) / f"ray/session_latest/logs/job-driver-{number}.log"
    deadline = time.monotonic() + 1500
    while ": done" not in (text := log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    stopped = ray(cluster, "job", "stop", number)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    before = finished_cells(cluster)
    assert 0 < len(before) < 4
    head.stop()
    head.start()
    done = submit(cluster, "--config", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 cells finished" in done.stdout
    after = finished_cells(cluster)
    assert before.items() <= after.items()
    names = {f"dpo/{split}/{seed}" for split in ("S1", "baseline") for seed in (42, 43)}
    assert len(after) == 4
    assert set(after.values()) == names


def test_without_the_token_a_submission_is_refused(cluster: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("0" * 64)
    refused = submit(cluster | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "wrong")}, "--dry-run")
    assert refused.returncode != 0
    assert "study demo" not in refused.stdout


def test_a_mistake_fails_the_job(cluster: dict[str, str]) -> None:
    failed = submit(cluster, "methods.dpo.betta=1")
    assert failed.returncode != 0
    assert "methods.dpo.betta" in failed.stdout
