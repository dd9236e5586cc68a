"""GPU nodes: the memory of their cards is measured and each gets an MPS daemon. The cards are made up, and
`nvidia-cuda-mps-control` is a script."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from test_mps import FAKE_CONTROL

from orchestrator.run import mps
from orchestrator.run.share import smallest_card
from training.errors import StudyError

pytestmark = pytest.mark.integration


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fake = tmp_path / "bin" / mps.CONTROL
    fake.parent.mkdir()
    fake.write_text(FAKE_CONTROL.format(notes=tmp_path / "notes"))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return tmp_path / "notes"


@pytest.fixture
def nodes(notes: Path) -> Iterator[Cluster]:
    """A head node without a GPU, to which this process is connected."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_gpu_node_that_joins_is_measured_and_gets_a_daemon(
    nodes: Cluster, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mps, "LOOK_FOR_NODES_EVERY_S", 0.2)
    with pytest.raises(StudyError, match="has none; give a number"):
        smallest_card(lambda: 1)
    with mps.sharing([0.5]) as environment:
        assert not notes.exists()
        nodes.add_node(num_cpus=1, num_gpus=2)
        deadline = time.monotonic() + 600
        pipes = Path(environment[mps.PIPES])
        while not (pipes / "control").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (pipes / "control").exists()
        assert (
            smallest_card(lambda: len(os.environ["CUDA_VISIBLE_DEVICES"])) == 1
        )  # one card, seen by the task
    assert [line.split()[0] for line in notes.read_text().splitlines()] == ["start", "quit"]
    assert not pipes.exists()
