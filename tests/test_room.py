"""A shape that no node holds is refused: at once where the cluster cannot grow, otherwise after a while."""

import pytest

from orchestrator.run.room import RoomWatch
from orchestrator.study.shape import Shape
from training.errors import StudyError

LARGE = Shape(cpus_per_worker=8)
TWO_CARDS = Shape(workers=2, gpus_per_worker=1)


def test_a_cluster_that_cannot_grow_refuses_at_once_with_both_sizes() -> None:
    room, small = RoomWatch(timeout_s=None), Shape(cpus_per_worker=0.9)
    room.check([small], [(1.9, 0)])
    message = r"resources: 1 worker\(s\) x \(8 CPU, 0 GPU\) .* nodes have 1.9 CPU and 0 GPU; ask for less"
    with pytest.raises(StudyError, match=message):
        room.check([small, LARGE], [(1.9, 0)])
    with pytest.raises(StudyError, match="2 worker"):
        room.check([TWO_CARDS], [(64, 1)])
    room.check([TWO_CARDS], [(64, 1), (64, 1)])
    assert "do not fit on this cluster" in room.why_never(LARGE, [(1.9, 0)])  # a shape that gets cells later


def test_a_cluster_that_may_grow_has_time_to_do_so() -> None:
    now = 100.0
    room = RoomWatch(timeout_s=60, clock=lambda: now)
    room.check([LARGE], [(2, 0)])
    assert not room.why_never(LARGE, [(2, 0)])
    now += 59
    assert not room.why_never(LARGE, [(2, 0)])
    assert not room.why_never(LARGE, [(2, 0), (8, 0)])  # it has grown
    now += 59
    assert not room.why_never(LARGE, [(2, 0)])  # that node is gone again
    now += 60
    assert "do not fit on this cluster" in room.why_never(LARGE, [(2, 0)])
