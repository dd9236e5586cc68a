"""Report the progress of an arm, and stop the arm on request."""

from collections.abc import Callable
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback

from training.errors import Preempted

OnStep = Callable[[int, int], bool | None]  # (step, total) -> True asks the arm to save itself and stop


class ProgressReport(TrainerCallback):  # type: ignore[misc]
    """Calls `on_step` after every optimiser step; when it returns True, the arm saves itself and stops.

    All workers stop at the same step. They compare what `on_step` returned only every `agree_every` steps,
    because each comparison makes them wait for their devices. A single worker stops at once.

    Raises:
        Preempted: The arm was asked to stop, and has saved itself.
    """

    def __init__(self, on_step: OnStep, agree_every: int, name: str) -> None:
        self.on_step, self.agree_every, self.name = on_step, agree_every, name
        self.asked_to_stop = self.stopping = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report the step, and have the Trainer save the arm if it is to stop."""
        self.asked_to_stop |= bool(self.on_step(state.global_step, state.max_steps))
        if args.world_size == 1:
            self.stopping = self.asked_to_stop
        elif state.global_step % self.agree_every == 0:
            self.stopping = any(gather_object([self.asked_to_stop]))
        if self.stopping and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop, now that the arm is saved."""
        if self.stopping:
            raise Preempted(f"{self.name}: asked to stop, saved at step {state.global_step}")
