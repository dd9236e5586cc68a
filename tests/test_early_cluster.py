"""A connection to Ray that is made and ended beside other work."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.run import cluster
from orchestrator.run.early_cluster import EarlyCluster
from training.errors import StudyError


class Ray:
    """A stand-in for a cluster: what happened, in order, and gates that its start and its end wait for."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.may_start, self.may_end = threading.Event(), threading.Event()
        self.start_error: Exception | None = None
        self.end_error: Exception | None = None

    @contextmanager
    def cluster(self, verbose: bool) -> Iterator[None]:
        self.may_start.wait(10)
        if self.start_error:
            raise self.start_error
        self.events.append("started")
        yield
        self.may_end.wait(10)
        self.events.append("ended")
        if self.end_error:
            raise self.end_error


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    ray = Ray()
    monkeypatch.setattr(cluster, "cluster", ray.cluster)
    return ray


def test_other_work_goes_on_while_ray_starts_and_ends(ray: Ray) -> None:
    with EarlyCluster() as early:
        early.begin()
        ray.events.append("rendered")
        ray.may_start.set()
        early.wait()
        ray.events.append("trained")
        early.end()
        ray.events.append("reported")
        ray.may_end.set()
    assert ray.events == ["rendered", "started", "trained", "reported", "ended"]


def test_what_is_found_to_be_missing_later_is_trained_too(ray: Ray) -> None:
    ray.may_start.set()
    ray.may_end.set()
    with EarlyCluster() as early:
        early.wait()
        assert ray.events == ["started"]
    assert ray.events == ["started", "ended"]


def test_without_cells_to_train_no_cluster_starts(ray: Ray) -> None:
    with EarlyCluster():
        pass
    assert ray.events == []


def render_in_vain() -> None:
    with EarlyCluster() as early:
        early.begin()
        raise StudyError("a group is too small")


def train() -> None:
    with EarlyCluster() as early:
        early.begin()
        early.wait()
        early.end()


def test_an_error_elsewhere_ends_the_cluster_and_stays_the_error(ray: Ray) -> None:
    ray.may_start.set()
    ray.may_end.set()
    with pytest.raises(StudyError, match="a group is too small"):
        render_in_vain()
    assert ray.events == ["started", "ended"]


def test_a_cluster_that_does_not_start_is_told_where_it_is_waited_for(ray: Ray) -> None:
    ray.start_error = StudyError("Ray: not started")
    ray.may_start.set()
    with pytest.raises(StudyError, match="Ray: not started"):
        train()


def test_an_error_while_the_cluster_ends_is_not_lost(ray: Ray) -> None:
    ray.end_error = RuntimeError("a lane does not stop")
    ray.may_start.set()
    ray.may_end.set()
    with pytest.raises(RuntimeError, match="a lane does not stop"):
        train()
