"""Give each of several arms in a process its own share of what libraries keep in globals."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState


class OwnRandomness:
    """The states of Python's, numpy's and torch's global generators, as one of several users left them.

    The first use continues from the states at the time of construction.
    """

    def __init__(self) -> None:
        self._states = _states()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Put these states into the global generators for the block, and then those of the others back."""
        others = _states()
        _restore(self._states)
        try:
            yield
        finally:
            self._states = _states()
            _restore(others)


def _states() -> tuple[Any, ...]:
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    of_numpy = np.random.get_state()  # noqa: NPY002 - libraries use it
    return random.getstate(), of_numpy, torch.get_rng_state(), cards


def _restore(states: tuple[Any, ...]) -> None:
    of_python, of_numpy, of_torch, cards = states
    random.setstate(of_python)
    np.random.set_state(of_numpy)  # noqa: NPY002
    torch.set_rng_state(of_torch)
    torch.cuda.set_rng_state_all(cards)


class OwnGlobals:
    """The random numbers of an arm, and the state of its Accelerator.

    accelerate's states are objects that share one dict per class; each user has dicts of its own.
    """

    def __init__(self) -> None:
        self.randomness = OwnRandomness()
        self._accelerate: dict[Any, dict[str, Any]] = {
            state: {} for state in (PartialState, AcceleratorState, GradientState)
        }

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Put these in place for the block, and those of the others back after it."""
        others = {state: state._shared_state for state in self._accelerate}
        _share(self._accelerate)
        try:
            with self.randomness.in_use():
                yield
        finally:
            _share(others)


def _share(dicts: dict[Any, dict[str, Any]]) -> None:
    for state, shared in dicts.items():
        state._shared_state = shared
