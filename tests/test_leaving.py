"""A cluster is left while something else goes on, and neither hides what becomes of the other."""

import gc
import threading
import time
import weakref
from contextlib import ExitStack

import pytest

from orchestrator.run.leaving import leaving

WAIT_S = 20.0


class Cycle:
    """Garbage that only a collection frees, as what Ray Tune leaves behind."""

    def __init__(self):
        self.itself = self


def stack(on_close):
    cluster = ExitStack()
    cluster.callback(on_close)
    return cluster


def test_the_cluster_is_left_meanwhile_and_not_later():
    reached, left = threading.Event(), []

    def close():
        left.append(reached.wait(WAIT_S))

    with leaving(stack(close)):
        assert not left
        reached.set()
    assert left == [True]


def test_what_fails_in_the_block_and_in_leaving_is_both_told():
    def close():
        raise ConnectionError("the cluster does not answer")

    with pytest.raises(ConnectionError), leaving(stack(close)):
        pass
    with pytest.raises(ConnectionError) as raised, leaving(stack(close)):
        raise ValueError("no report")
    assert isinstance(raised.value.__context__, ValueError)


def test_an_interrupted_block_waits_until_the_cluster_is_left():
    left = []

    def close():
        time.sleep(0.3)
        left.append(True)

    with pytest.raises(KeyboardInterrupt), leaving(stack(close)):
        raise KeyboardInterrupt
    assert left


def test_an_interrupted_block_does_not_wait_for_a_cluster_that_a_signal_has_ended(monkeypatch):
    monkeypatch.setattr("orchestrator.run.leaving.INTERRUPTED_S", 0.1)
    released, left = threading.Event(), []

    def close():
        released.wait(WAIT_S)
        left.append(True)

    with pytest.raises(KeyboardInterrupt), leaving(stack(close)):
        raise KeyboardInterrupt
    assert not left
    released.set()


def test_no_garbage_of_before_is_collected_meanwhile():
    """Ray ends the process if a reference of its own is freed after its shutdown."""
    gc.disable()
    try:
        garbage = weakref.ref(Cycle())
        with leaving(stack(lambda: None)):
            gc.collect()
            assert garbage() is not None
    finally:
        gc.enable()
        gc.unfreeze()
        gc.collect()
    assert garbage() is None
