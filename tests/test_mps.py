"""The MPS daemon of a node, with a fake `nvidia-cuda-mps-control` that notes its commands."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.run.mps import CONTROL, PIPES, Keeper, sharing

# Like the real one: with -f it stays in the foreground and answers through a fifo; without -f it passes a
# command on to the daemon.
FAKE_CONTROL = """#!/bin/sh
if [ "$1" = -f ]; then
    echo "start $CUDA_MPS_PIPE_DIRECTORY $CUDA_MPS_LOG_DIRECTORY cards=$CUDA_VISIBLE_DEVICES" >> "{notes}"
    echo $$ > "{notes}.pid"
    mkfifo "$CUDA_MPS_PIPE_DIRECTORY/control"
    read command < "$CUDA_MPS_PIPE_DIRECTORY/control"
else
    read command
    echo "$command $CUDA_MPS_PIPE_DIRECTORY" >> "{notes}"
    echo "$command" > "$CUDA_MPS_PIPE_DIRECTORY/control"
fi
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the fake first on PATH, and return the file in which it notes its commands."""
    notes, fake = tmp_path / "notes", tmp_path / "bin" / CONTROL
    fake.parent.mkdir()
    fake.write_text(FAKE_CONTROL.format(notes=notes))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return notes


@pytest.fixture
def node_environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a node's Ray, on which no other daemon runs."""
    return {"PATH": os.environ["PATH"], PIPES: str(tmp_path / "nobody")}


def test_a_daemon_is_started_in_a_private_folder_and_ended(
    notes: Path, node_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    keeper = Keeper(str(folder))
    assert keeper.start(node_environment | {"CUDA_VISIBLE_DEVICES": "0,1"})
    assert folder.stat().st_mode & 0o777 == 0o700
    keeper.stop()
    assert notes.read_text().splitlines() == [
        f"start {folder}/pipe {folder}/log cards=0,1",
        f"quit -t 20 {folder}/pipe",
    ]
    assert not folder.exists()


def test_another_users_daemon_is_used_and_left_alone(
    notes: Path, node_environment: dict[str, str], tmp_path: Path
) -> None:
    other_pipes = tmp_path / "theirs"
    other_pipes.mkdir()
    (other_pipes / "control").touch()
    keeper = Keeper(str(tmp_path / "mine"))
    assert keeper.start(node_environment | {PIPES: str(other_pipes)})
    assert (tmp_path / "mine" / "pipe" / "control").samefile(other_pipes / "control")
    keeper.stop()
    assert not notes.exists()
    assert (other_pipes / "control").exists()
    assert not (tmp_path / "mine").exists()


def test_a_node_without_mps_is_left_as_it_is(
    node_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Keeper(str(tmp_path / "mine")).start(node_environment)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("cards", ["2,3", "1", "GPU-5f1c", "1,0", ""])
def test_cards_that_the_daemon_would_number_differently_get_no_daemon(
    notes: Path, node_environment: dict[str, str], tmp_path: Path, cards: str
) -> None:
    assert not Keeper(str(tmp_path / "mine")).start(node_environment | {"CUDA_VISIBLE_DEVICES": cards})
    assert not notes.exists()


def test_a_daemon_that_does_not_start_leaves_nothing(
    notes: Path, node_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin" / CONTROL).write_text("#!/bin/sh\nexit 1\n")
    assert not Keeper(str(tmp_path / "mine")).start(node_environment)
    assert not (tmp_path / "mine").exists()


def test_the_daemon_ends_with_a_keeper_that_is_killed(notes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    code = (
        "import os, signal; from orchestrator.run.mps import Keeper;"
        f"keeper = Keeper({str(folder)!r}); assert keeper.start({{'PATH': os.environ['PATH']}});"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    daemon = Path("/proc") / notes.with_suffix(".pid").read_text().strip()
    deadline = time.monotonic() + 300
    while daemon.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not daemon.exists()


@pytest.mark.parametrize("gpus", [[], [0.0], [1.0, 2.0]], ids=str)
def test_lanes_that_share_no_card_pay_nothing(gpus: list[float]) -> None:
    """No cluster is connected here, so any call to one would fail."""
    with sharing(gpus) as environment:
        assert environment == {}
