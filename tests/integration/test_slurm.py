"""The SLURM script with a real slurmctld and slurmd: a study that is requeued midway trains what is missing.

`make slurm` runs this as root, with Debian's slurm-wlm and munge installed. It needs its own process
namespace, since the script ends with `ray stop`, which ends every Ray process that it sees.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from test_sweep import STUDY

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobRequeue=1
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start a cluster of one node on loopback and yield the environment of its users."""
    for program in ("slurmctld", "slurmd", "munged"):
        assert shutil.which(program), f"{program} is missing: apt-get install slurm-wlm munge"
    root = Path("/tmp") / f"slurm-{os.getpid()}"  # munge needs a path that other users may enter
    for name in ("state", "spool", "munge"):
        (root / name).mkdir(parents=True)
    key = root / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    shutil.chown(root / "munge", "munge", "munge")
    shutil.chown(key, "munge", "munge")
    controller, daemon = _free_ports(2)
    (root / "slurm.conf").write_text(CONF.format(root=root, controller=controller, daemon=daemon))
    environment = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = ["munged", "--foreground", *(f"--{flag}={root}/munge/{name}" for flag, name in files.items())]
    running = [subprocess.Popen(munge, user="munge", group="munge", cwd="/")]
    time.sleep(1)
    for command in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "localhost"]):
        running.append(subprocess.Popen(command, env=environment))
    try:
        yield environment
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(timeout=30)
        shutil.rmtree(root, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_a_requeued_study_trains_what_is_missing(slurm: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(STUDY)
    environment = slurm | {"ORCHESTRATOR_HOME": str(tmp_path)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    log = tmp_path / "job.log"

    def slurm_says(*command: str) -> str:
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout

    script = str(ROOT / "configs" / "clusters" / "slurm.sbatch")
    options = ["--gpus-per-node=0", "--cpus-per-task=2", f"--output={log}"]
    job = slurm_says("sbatch", "--parsable", *options, script, str(config)).strip()
    _until(lambda: log.exists() and ": done (" in log.read_text())
    slurm_says("scontrol", "requeue", job)
    _until(lambda: slurm_says("squeue", "-h", "-j", job, "-o", "%T").strip() == "PENDING")
    slurm_says("scontrol", "update", f"JobId={job}", "StartTime=now")
    _until(lambda: "4 of 4 cells finished" in log.read_text())
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    done = client.search_runs(
        [experiment.experiment_id], "tags.kind = 'cell' and attributes.status = 'FINISHED'"
    )
    assert (pd.Series([run.info.run_name for run in done]).value_counts() == 1).all()
    assert len(done) == 4


def _until(condition: Callable[[], bool], seconds: int = 500) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(2)
