"""A small sweep through its command line, with real Ray Tune and Train, DeepSpeed, TRL and MLflow."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
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
resources: {cpus_per_worker: 0.9, lanes: 1, deepspeed: zero2}
faults: {backoff_s: 0.1}
"""


SECRET = "sk-a-key-that-nobody-should-ever-read"


class Sweep:
    """One study in a home of its own, and the sweep command that runs in it."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.config = home / "small.yaml"
        self.config.write_text(STUDY)
        self.environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        self.environment |= {"ORCHESTRATOR_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.environment |= {"PROVIDER_API_KEY": SECRET, **environment}
        self.seconds: list[float] = []  # wall time of each `run`

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
        output, _ = process.communicate(timeout=1800)
        assert process.returncode == code, output
        assert code or "Traceback" not in output, output
        self.seconds.append(time.monotonic() - started)
        return output

    def run_on_terminal(self, *words: str) -> str:
        """Run the sweep on a pseudo-terminal and return everything that it wrote there."""
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
        with contextlib.suppress(OSError):  # raised when the other end of the terminal closes
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        assert process.wait(timeout=600) == 0, shown.decode()
        return shown.decode()

    def trained(self) -> dict[str, int]:
        """Return how many finished runs the record holds for each cell."""
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
def ray_folder() -> Iterator[Path]:
    """A folder for Ray's sessions, with a path as short as its sockets need."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, ray_folder: Path) -> Sweep:
    return Sweep(tmp_path_factory.mktemp("sweep"), RAY_TMPDIR=str(ray_folder))


def check_interruption(sweep: Sweep, number: signal.Signals) -> None:
    """Interrupt a sweep once it trains; check what it says, and that no run and no claim is left open."""
    process = sweep.start("training.max_steps=2000")  # more than it has time for
    assert process.stdout is not None
    seen = ""
    while ": started" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name}" in output
    assert re.search("running: (dpo|wpo)/S1_age/", output)  # which one started first is chance
    assert "the same command goes on" in output
    for noise in ("Traceback", "***", "report:"):
        assert noise not in output
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'cell'")
    assert {run.info.status for run in runs} == {"KILLED"}
    assert {run.data.tags["abandoned"] for run in runs} == {f"interrupted by {number.name}"}
    assert not [key for key in experiment.tags if key.startswith("claim.")]


ALL = {f"{method}/{split}/42": 1 for method in ("dpo", "wpo") for split in ("baseline", "S1_age")}


def test_a_terminated_sweep_ends_well(sweep: Sweep) -> None:
    check_interruption(sweep, signal.SIGTERM)


def test_a_sweep_trains_every_cell_once(sweep: Sweep) -> None:
    """Also after a sweep that was interrupted; with the file's own number of steps."""
    output = sweep.run()
    assert f"{len(ALL)} of {len(ALL)} cells finished" in output
    assert sweep.trained() == ALL


def test_the_same_command_again_trains_nothing_and_writes_the_same_report(sweep: Sweep) -> None:
    before = sweep.report.read_bytes()
    sweep.environment["RAY_ADDRESS"] = "127.0.0.1:1"  # no cluster listens there, and none is needed
    try:
        sweep.run()
    finally:
        del sweep.environment["RAY_ADDRESS"]
    trained, again = sweep.seconds
    assert again < trained
    assert sweep.report.read_bytes() == before
    assert sweep.trained() == ALL


def test_a_new_seed_trains_only_the_new_cells_even_after_the_cache_was_damaged(sweep: Sweep) -> None:
    (scores,) = (sweep.home / "runs" / ".cache").glob("scores-*/scores.json")
    checksums, (table,) = scores.read_bytes(), scores.parent.glob("*.arrow")
    table.write_bytes(table.read_bytes()[:-1000])
    output = sweep.run("--seeds", "42,43", "--dry-run")
    assert "8 cells, 4 finished, 4 to train" in output
    shown = sweep.run_on_terminal("--seeds", "42,43")
    assert "◐" in shown  # the live table showed running cells
    assert "8 of 8 cells, " in shown
    assert scores.read_bytes() == checksums  # scored again, with the same result
    assert sweep.trained() == ALL | {name.replace("/42", "/43"): 1 for name in ALL}


def test_the_record_holds_what_a_reader_needs(sweep: Sweep) -> None:
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    labels = "params.method = 'wpo' and params.split = 'S1_age' and params.seed = '42'"
    query = f"{labels} and attributes.status = 'FINISHED'"
    (run,) = client.search_runs([experiment.experiment_id], query)
    metrics, tags = run.data.metrics, run.data.tags
    assert metrics["A/loss_step0"] == pytest.approx(0.6931, abs=1e-3)  # policy = reference: log 2
    assert metrics["A/pairs_seen"] == metrics["B/pairs_seen"] == 16
    truncated = {arm: metrics[f"{arm}/pairs_truncated"] / metrics[f"{arm}/pairs_train"] for arm in "AB"}
    assert 0 < truncated["A"] < 1  # the study's max_length is short
    assert f"tokens: {min(truncated.values()):.0%} to " in sweep.report.read_text()
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


def test_the_weight_analysis_reuses_the_sweeps_scores_and_is_stored_in_the_study_run(sweep: Sweep) -> None:
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
    # The twin plants this: three families of models use words of their own; no text decides the score gap.
    assert shares.loc["source_model", "alone_low"] > shares.loc["score_gap", "alone_high"]


def test_a_sweep_writes_no_secret_from_the_environment_anywhere(sweep: Sweep, ray_folder: Path) -> None:
    """Searched: MLflow's database and artifacts, the report, and all logs, including Ray's."""
    files = [path for root in (sweep.home, ray_folder) for path in root.rglob("*") if path.is_file()]
    assert {"mlflow.db", "raylet.out"} <= {path.name for path in files}
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_dry_run_needs_no_torch_ray_or_store(tmp_path: Path) -> None:
    fresh = Sweep(tmp_path)
    code = (
        "import sys; from orchestrator import sweep; sweep.main(sys.argv[1:]);"
        "print(sorted({'torch', 'ray', 'mlflow', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "--config", str(fresh.config), "--dry-run"]
    output = subprocess.run(
        command, cwd=ROOT, env=fresh.environment, capture_output=True, text=True, timeout=600, check=True
    ).stdout
    assert "4 cells, 0 finished, 4 to train" in output
    assert output.rstrip().endswith("[]")
    assert not list(tmp_path.rglob("mlflow.db"))


@pytest.fixture(scope="module")
def probing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sweep, subprocess.Popen[str]]]:
    """Start a probe that runs while earlier tests, which need no cluster, do their work."""
    fresh = Sweep(tmp_path_factory.mktemp("probe"))
    process = fresh.start("--probe")
    yield fresh, process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.usefixtures("probing")
def test_a_second_sweep_of_a_study_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    fresh = Sweep(tmp_path)
    lock = tmp_path / "runs" / "small" / "sweep.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        output = fresh.run(code=2)
    assert "another sweep of it is running" in output.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["splits.S1_age.column=agee"], ["splits.S1_age.column", "agee", "did you mean 'age'?"]),
        (["training.batch_size=4000"], ["training.batch_size 4000", "data: "]),
        (["--model", "/nowhere/model"], ["model", "/nowhere/model"]),
        (["methods.dpo.betta=1"], ["methods.dpo.betta", "'beta'"]),
        (
            ["--config", "configs/prism_text.yaml", "data.path=/nowhere.jsonl"],
            ["data.path", "/nowhere.jsonl"],
        ),
    ],
    ids=["column", "batch", "model", "argument", "file"],
)
def test_a_mistake_is_reported_before_any_cluster_starts(
    tmp_path: Path, words: list[str], named: list[str]
) -> None:
    output = Sweep(tmp_path).run(*words, code=2)
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for part in named:
        assert part in last
    assert "Traceback" not in output
    assert not (tmp_path / "runs" / "small" / "ray").exists()


def test_a_probe_estimates_the_time_and_leaves_nothing_behind(
    probing: tuple[Sweep, subprocess.Popen[str]],
) -> None:
    fresh, process = probing
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    estimate = output.strip().splitlines()[-1]
    assert re.match(
        r"time: \d+ s per arm \(from \d+ steps and \d+ held-out pairs here\); .* on 1 lane", estimate
    )
    assert [path for path in fresh.home.rglob("*") if path.is_file()] == [fresh.config]
