"""A sweep handed over to SLURM, to a Ray cluster or to this machine's background. Ray is not imported."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from orchestrator.record.places import Places, without_passwords
from orchestrator.run.address import ray_address
from orchestrator.study.files import CONFIGS, STUDY_VARIABLES
from orchestrator.study.study import Study
from training.errors import StudyError

SHIPPED_SCRIPT = CONFIGS / "clusters" / "slurm.sbatch"
# What a job on a Ray cluster is told of this environment. SLURM and the background hand all of it over.
VARIABLES = (
    "MLFLOW_TRACKING_URI", "ORCHESTRATOR_HOME", "ORCHESTRATOR_STORAGE", "ORCHESTRATOR_STUDY_VARIABLES",
    *STUDY_VARIABLES,
)  # fmt: skip


@dataclass(frozen=True)
class Submission:
    """A sweep that was handed over.

    Attributes:
        where: Where it runs, with its id there.
        log: The command that shows its output.
        watch: The command that shows its live table.
        stop: The command that stops it; what is trained is kept.
    """

    where: str
    log: str
    watch: str
    stop: str

    def __str__(self) -> str:
        return f"{self.where}\n  log:   {self.log}\n  watch: {self.watch}\n  stop:  {self.stop}"


def submit(target: str, study: Study, places: Places, words: Sequence[str]) -> Submission:
    """Hand a sweep over and return at once.

    Args:
        target: A key of `TARGETS`.
        study: The study, which is checked here, before anything is queued.
        places: Where its files are.
        words: The words of the sweep's command line, without `--on`.

    Raises:
        StudyError: The cluster's command is not on this machine, or refuses the job.
    """
    return TARGETS[target](study, places, words)


def _to_slurm(study: Study, places: Places, words: Sequence[str]) -> Submission:
    sbatch = _program("slurm", "sbatch")
    script = _own_script(study, places)
    places.logs.mkdir(parents=True, exist_ok=True)
    config, others = _split_config(words)
    log = str(places.logs / "slurm-%j.log")
    options = ["--parsable", f"--job-name={study.study}", f"--output={log}"]
    number = _run("slurm", sbatch, *options, str(script), config, *others).strip().partition(";")[0]
    return Submission(
        f"SLURM job {number}, from {script} (edit it for another partition, time or number of nodes)",
        f"tail -F {shlex.quote(log.replace('%j', number))}",
        _watch(words),
        f"scancel {number}",
    )


def _own_script(study: Study, places: Places) -> Path:
    """Return the study's job script; one that is there is kept, with all that a user changed in it."""
    script = places.out / SHIPPED_SCRIPT.name
    if not script.exists():
        text = SHIPPED_SCRIPT.read_text(encoding="utf-8")
        if not any(shape.gpus_per_worker for shape in study.shapes.values()):
            text = re.sub(r"(?m)^#SBATCH --gpus.*\n", "", text)
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text, encoding="utf-8")
    return script


def _split_config(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the study file that a sweep's words name, and the other words."""
    others = list(words)
    for position, word in enumerate(others):
        if word == "--config":
            return others[position + 1], others[:position] + others[position + 2 :]
        if word.startswith("--config="):
            return word.partition("=")[2], others[:position] + others[position + 1 :]
    return "demo", others


def _to_ray(study: Study, places: Places, words: Sequence[str]) -> Submission:
    program, address = _program("ray", "ray"), _job_server()
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    for name, value in variables.items():
        if without_passwords(value) != value:
            raise StudyError(
                f"--on ray: {name} holds a password, which everybody who may list jobs would see; set it "
                "where the head node's Ray is started, and unset it here"
            )
    number = f"sweep-{uuid4().hex[:8]}"
    runtime = ["--runtime-env-json", json.dumps({"env_vars": variables})] if variables else []
    command = ["--", "python", "-m", "orchestrator.sweep", *words]
    options = ["--working-dir", ".", "--no-wait", "--submission-id", number]
    _run("ray", program, "job", "submit", *options, *runtime, *command)
    away = not {"MLFLOW_TRACKING_URI", "ORCHESTRATOR_HOME"} & variables.keys()
    on_head = "ORCHESTRATOR_HOME=~/preference-orchestrator " if away else ""
    return Submission(
        f"Ray job {number}, at {without_passwords(address)}",
        f"ray job logs --follow {number}",
        f"{on_head}{_watch(words)}" + ("" if "MLFLOW_TRACKING_URI" in variables else "   # on the head node"),
        f"ray job stop {number}",
    )


def _job_server() -> str:
    """Return the address of the Ray cluster that gets a job.

    Raises:
        StudyError: The environment names none. Ray would take any cluster that it finds on this machine,
            another user's included.
    """
    address = os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not address:
        raise StudyError(
            "--on ray: RAY_ADDRESS is not set; name the cluster, such as RAY_ADDRESS=http://127.0.0.1:8265 "
            "on its head node, or choose --on local"
        )
    return address


def _to_background(study: Study, places: Places, words: Sequence[str]) -> Submission:
    ray_address()  # only to refuse a wrong one here
    log = places.logs / "sweep.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.sweep", *words],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    where = f"process {process.pid} in the background of this machine"
    return Submission(where, f"tail -F {shlex.quote(str(log))}", _watch(words), f"kill {process.pid}")


TARGETS: Mapping[str, Callable[[Study, Places, Sequence[str]], Submission]] = {
    "slurm": _to_slurm,
    "ray": _to_ray,
    "local": _to_background,
}


def _watch(words: Sequence[str]) -> str:
    """Return the command that watches a sweep; it takes the words that say which study this is."""
    flags = ("-v", "--verbose", "--accept-code", "--probe", "--again")
    return shlex.join(["python", "-m", "orchestrator.watch", *(word for word in words if word not in flags)])


def _program(target: str, program: str) -> str:
    """Return the path of a cluster's own command.

    Raises:
        StudyError: The command is not on this machine.
    """
    beside_python = Path(sys.executable).parent / program
    path = shutil.which(program) or (str(beside_python) if beside_python.exists() else None)
    if path is None:
        raise StudyError(
            f"--on {target}: no command {program} on this machine; give the command on a node of the cluster "
            "that has it, or choose another of --on slurm, ray, local"
        )
    return path


def _run(target: str, path: str, *words: str) -> str:
    """Run a cluster's own command and return what it prints.

    Raises:
        StudyError: The command fails; the message holds its last line.
    """
    # The job script activates the environment of this process, whether or not a shell has.
    environment = os.environ | ({"VIRTUAL_ENV": sys.prefix} if sys.prefix != sys.base_prefix else {})
    done = subprocess.run([path, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        said = without_passwords(reason[-1].strip()) if reason else f"exit code {done.returncode}"
        raise StudyError(f"--on {target}: {Path(path).name} refused the job: {said}")
    return done.stdout
