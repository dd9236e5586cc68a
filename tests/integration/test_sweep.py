"""The main job for real, small: Ray Tune and Train, DeepSpeed, TRL and MLflow, through its command line."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from filelock import FileLock
from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
study: small
data: {source: twin, users: 40, history: none}
held_out: {share: 0.25, seed: 0}
splits:
  S1_age:
    by: category
    column: age
    a: [18-24 years old, 25-34 years old]
    b: [35-44 years old, 45-54 years old, 55-64 years old, 65+ years old]
    predicted: A > B
methods:
  dpo: {}
  wpo: {use_weighting: true}
seeds: [42]
training: {max_steps: 4, batch_size: 4, max_length: 52, dtype: float32, logging_steps: 1}
resources: {cpus_per_worker: 0.9, lanes: 1}
faults: {backoff_s: 0.1}
"""


SECRET = "sk-a-key-that-nobody-should-ever-read"


class Sweep:
    """A home of its own for one study, and the command run in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "small.yaml"
        self.config.write_text(STUDY)
        self.environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        self.environment |= {"ORCHESTRATOR_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.environment |= {"PROVIDER_API_KEY": SECRET}
        self.seconds: list[float] = []  # that `run` took

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator.sweep", "--config", str(self.config), *words],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, code: int = 0) -> str:
        started = time.monotonic()
        process = self.start(*words)
        said, _ = process.communicate(timeout=1800)
        assert process.returncode == code, said
        assert code or "Traceback" not in said, said
        self.seconds.append(time.monotonic() - started)
        return said

    def look_on(self, *words: str) -> str:
        """Run it on a terminal; what it ever wrote there."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.sweep", "--config", str(self.config), *words],
            cwd=ROOT,
            env=self.environment | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        assert process.wait(timeout=600) == 0, shown.decode()
        return shown.decode()

    def trained(self) -> dict[str, int]:
        """How often each cell has been trained to the end, by the record."""
        client = MlflowClient(f"sqlite:///{self.home / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("small")
        assert experiment is not None
        runs = client.search_runs(
            [experiment.experiment_id], "tags.kind = 'cell' and attributes.status = 'FINISHED'"
        )
        return pd.Series([run.info.run_name for run in runs]).value_counts().to_dict()

    @property
    def report(self) -> Path:
        return self.home / "runs" / "small" / "report" / "report.md"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return Sweep(tmp_path_factory.mktemp("sweep"))


ALL = {f"{method}/{split}/42": 1 for method in ("dpo", "wpo") for split in ("baseline", "S1_age")}


def test_a_driver_killed_midway_and_started_again_finishes_only_what_is_missing(sweep: Sweep) -> None:
    process = sweep.start()
    assert process.stdout is not None
    for line in process.stdout:
        if ": done" in line:
            break
    below = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in below if "default_worker.py" in title(child) or "ray::" in title(child)]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while any(title(worker) for worker in workers):  # Ray notices a dead driver by itself
        time.sleep(0.1)
    before = sweep.trained()
    assert 0 < len(before) < len(ALL)
    said = sweep.run()
    assert f"{len(ALL)} of {len(ALL)} cells finished" in said
    assert sweep.trained() == ALL


def title(process: psutil.Process) -> str:
    """Its command; empty of one that has ended."""
    try:
        return " ".join(process.cmdline()) if process.is_running() else ""
    except psutil.Error:
        return ""


def test_the_same_command_again_trains_nothing_and_writes_the_same_report(sweep: Sweep) -> None:
    before = sweep.report.read_bytes()
    sweep.environment["RAY_ADDRESS"] = "127.0.0.1:1"  # where no cluster is: none is asked for
    try:
        sweep.run()
    finally:
        del sweep.environment["RAY_ADDRESS"]
    trained, again = sweep.seconds
    assert again < trained
    assert sweep.report.read_bytes() == before
    assert sweep.trained() == ALL


def test_a_new_seed_trains_only_the_new_cells_also_after_the_cache_was_damaged(sweep: Sweep) -> None:
    (scores,) = (sweep.home / "runs" / ".cache").glob("scores-*/scores.json")
    about, (table,) = scores.read_bytes(), scores.parent.glob("*.arrow")
    table.write_bytes(table.read_bytes()[:-1000])
    said = sweep.run("--seeds", "42,43", "--dry-run")
    assert "8 cells, 4 finished, 4 to train" in said
    shown = sweep.look_on("--seeds", "42,43")
    assert "◐" in shown  # live: cells were seen running
    assert "8 of 8 cells, " in shown
    assert scores.read_bytes() == about  # scored anew, to the same checksum
    assert sweep.trained() == ALL | {name.replace("/42", "/43"): 1 for name in ALL}


def test_the_record_holds_what_a_reader_needs(sweep: Sweep) -> None:
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    labels = "tags.method = 'wpo' and tags.split = 'S1_age' and tags.seed = '42'"
    query = f"{labels} and attributes.status = 'FINISHED'"
    (run,) = client.search_runs([experiment.experiment_id], query)
    metrics, tags = run.data.metrics, run.data.tags
    assert metrics["A/loss_step0"] == pytest.approx(0.6931, abs=1e-3)  # policy = reference: log 2
    assert metrics["A/pairs_seen"] == metrics["B/pairs_seen"] == 16
    long = {arm: metrics[f"{arm}/pairs_truncated"] / metrics[f"{arm}/pairs_train"] for arm in "AB"}
    assert 0 < long["A"] < 1  # the study's max_length is short
    assert f"tokens: {min(long.values()):.0%} to " in sweep.report.read_text()
    assert 0 < metrics["A/weight_min"] <= metrics["A/weight_mean"] <= 1
    difference = metrics["A/pref_acc_heldout"] - metrics["B/pref_acc_heldout"]
    assert metrics["diff/pref_acc_heldout"] == pytest.approx(difference)
    for name in ("trial_id", "data_fingerprint", "source_sha256", "version.trl", "geometry", "hardware"):
        assert tags[name]
    folder = client.download_artifacts(run.info.run_id, "outcomes.parquet")
    outcomes = pd.read_parquet(folder)
    scored = outcomes.groupby(["arm", "eval_group"])["pair_id"].apply(frozenset)
    assert scored["A", "A"] == scored["B", "A"]  # both arms score the same held-out pairs of both groups
    assert scored["A", "B"] == scored["B", "B"]
    own = outcomes[(outcomes["arm"] == "A") & (outcomes["eval_group"] == "A")]
    assert own["correct"].mean() == pytest.approx(metrics["A/pref_acc_heldout"])


def test_the_weight_analysis_reads_the_sweeps_scores_and_lands_in_the_study_run(sweep: Sweep) -> None:
    (scores,) = (sweep.home / "runs" / ".cache").glob("scores-*/")
    before = {path: path.stat().st_mtime_ns for path in scores.rglob("*")}
    command = [sys.executable, "-m", "orchestrator.weights", "--config", str(sweep.config)]
    subprocess.run(command, cwd=ROOT, env=sweep.environment, check=True, timeout=1800)
    assert {path: path.stat().st_mtime_ns for path in scores.rglob("*")} == before  # nothing was scored again
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'study'")
    kept = {file.path for file in client.list_artifacts(run.info.run_id, "weights")}
    pictures = {f"weights/{name}.png" for name in ("histogram", "score_gap", "source_model", "splits")}
    assert pictures | {"weights/weights.md"} <= kept
    shares = pd.read_csv(client.download_artifacts(run.info.run_id, "weights/shares.csv")).set_index("term")
    # Planted: three families of models with words of their own, and gaps that no text decides.
    assert shares.loc["source_model", "alone_low"] > shares.loc["score_gap", "alone_high"]


def test_a_secret_of_the_environment_is_nowhere_in_what_a_sweep_leaves(sweep: Sweep) -> None:
    """Neither in MLflow's store, its artifacts, the report, nor in any log, Ray's included."""
    session = Path("/tmp/ray/session_latest").resolve()
    read = [path for root in (sweep.home, session) for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in read)
    assert not [path for path in read if SECRET.encode() in path.read_bytes()]


def test_a_dry_run_needs_no_torch_ray_or_store(tmp_path: Path) -> None:
    fresh = Sweep(tmp_path)
    code = (
        "import sys; from orchestrator import sweep; sweep.main(sys.argv[1:]);"
        "print(sorted({'torch', 'ray', 'mlflow', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "--config", str(fresh.config), "--dry-run"]
    said = subprocess.run(
        command, cwd=ROOT, env=fresh.environment, capture_output=True, text=True, timeout=600, check=True
    ).stdout
    assert "4 cells, 0 finished, 4 to train" in said
    assert said.rstrip().endswith("[]")
    assert not list(tmp_path.rglob("mlflow.db"))


@pytest.fixture(scope="module")
def probing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sweep, subprocess.Popen[str]]]:
    """A probe at work, while the tests before its own run what starts no cluster."""
    fresh = Sweep(tmp_path_factory.mktemp("probe"))
    process = fresh.start("--probe")
    yield fresh, process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.usefixtures("probing")
def test_a_second_sweep_of_a_study_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    fresh = Sweep(tmp_path)
    lock = tmp_path / "runs" / "small" / "sweep.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        said = fresh.run(code=2)
    assert "another sweep of it is running" in said.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["splits.S1_age.column=agee"], ["splits.S1_age.column", "agee", "did you mean 'age'?"]),
        (["training.batch_size=4000"], ["training.batch_size 4000", "splits."]),
        (["--model", "/nowhere/model"], ["model", "/nowhere/model"]),
        (["methods.dpo.betta=1"], ["methods.dpo.betta", "'beta'"]),
        (
            ["--config", "configs/prism_text.yaml", "data.path=/nowhere.jsonl"],
            ["data.path", "/nowhere.jsonl"],
        ),
    ],
    ids=["column", "batch", "model", "argument", "file"],
)
def test_a_mistake_is_told_before_any_cluster_starts(
    tmp_path: Path, words: list[str], named: list[str]
) -> None:
    said = Sweep(tmp_path).run(*words, code=2)
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for part in named:
        assert part in last
    assert "Traceback" not in said
    assert not (tmp_path / "runs" / "small" / "ray").exists()


def test_a_probe_tells_the_time_and_leaves_nothing_behind(
    probing: tuple[Sweep, subprocess.Popen[str]],
) -> None:
    fresh, process = probing
    told, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, told
    assert "Traceback" not in told, told
    said = told.strip().splitlines()[-1]
    assert re.match(r"time: \d+ s per arm \(from \d+ steps and \d+ held-out pairs here\); .* on 1 lane", said)
    assert [path for path in fresh.home.rglob("*") if path.is_file()] == [fresh.config]
