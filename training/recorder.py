"""Record the curve of an arm while it trains, from values that its loss has computed anyway.

Shape suffix: B pairs of a micro-batch.
"""

import json
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import TrainerCallback

from training.errors import StudyError
from training.origin import in_turn

CURVE_FILE = "curve-{}.json"  # one per worker
WEIGHT_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class CurveRecorder(TrainerCallback):  # type: ignore[misc]
    """Collects one point at step 0, one every `every` steps and one at the last step in `points`.

    A point is a dict with the key `step`. It describes the global batch of that step, before its update:
    `margin` (mean, nats, without beta), `accuracy` (share with margin > 0), `loss` (mean
    -log sigmoid(beta * margin), which is log 2 at step 0 for every method; the margin is that which the
    method's beta scales, per token or of whole answers) and `train_loss` (the objective that is optimised).
    Under WPO it also describes the pair weights min(w_chosen * w_rejected, 1) of *all*
    pairs since the last point (not capped with `wpo_clamp: trl`): mean, minimum, maximum, quantiles, the
    share of products at or above 1, and the effective sample size (sum w)^2 / sum w^2.

    Values stay on the device and are read only when a point is due.

    Args:
        beta: The method's beta.
        every: Optimiser steps between two points.
        capped: Whether WPO weights are capped at 1.
        batch_size: Pairs that the global batch of every step must hold.
        gather: Concatenates a tensor over all workers.
        name: The trial and arm, with which error messages begin.

    Raises:
        RuntimeError: The global batch of a recorded step does not hold `batch_size` pairs.
        StudyError: A loss since the last point is not finite.
    """

    def __init__(
        self,
        beta: float,
        every: int,
        capped: bool,
        batch_size: int,
        gather: Callable[[Tensor], Tensor],
        name: str,
    ) -> None:
        self.beta, self.every, self.capped, self.name = beta, every, capped, name
        self.batch_size, self.gather = batch_size, gather
        self.origin: dict[str, str] = {}  # what makes the arm; kept in checkpoints
        self.points: list[dict[str, float]] = []
        self.heldout_points: list[dict[str, float]] = []  # `training/heldout_curve.py` adds them
        self.weight_sums: dict[str, float] = {}
        # Loss, margins and margins that beta scales, per micro-batch of this step.
        self._step_values: list[tuple[Tensor, Tensor, Tensor]] = []
        self._log_weights: list[Tensor] = []  # per micro-batch since the last point
        self._unchecked_losses: list[tuple[int, Tensor]] = []  # step and loss per micro-batch

    def observe(
        self, loss: Tensor, margins: Tensor, scaled: Tensor, log_weights: Tensor | None = None
    ) -> None:
        """Keep a micro-batch.

        Args:
            loss: What is optimised.
            margins: Margins of whole answers: [B].
            scaled: Margins that the method's beta scales: [B].
            log_weights: Under WPO, log(w_chosen * w_rejected): [B].
        """
        self._step_values.append((loss, margins, scaled))
        if log_weights is not None:
            self._log_weights.append(log_weights)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Read the device where a point is due."""
        step = state.global_step
        self._unchecked_losses += [(step, loss) for loss, *_ in self._step_values]
        due = step % self.every == 0 or step == state.max_steps
        if step == 1 or due:
            self.check_losses()
        if step == 1:
            self.points.append({"step": 0, **self._batch_metrics(), **self._weight_metrics(peek=True)})
        if due:
            self.points.append({"step": step, **self._batch_metrics(), **self._weight_metrics()})
        self._step_values.clear()

    def check_losses(self) -> None:
        """Read the losses since the last call; raise StudyError in all workers if one is not finite."""
        steps = [step for step, _ in self._unchecked_losses]
        if not steps:
            return
        own_losses = torch.stack([loss for _, loss in self._unchecked_losses])
        losses = self.gather(own_losses).view(-1, len(steps))  # [workers, micro-batches]
        for step, losses_of_workers in zip(steps, losses.T.tolist(), strict=True):
            for loss in losses_of_workers:
                if not isfinite(loss):
                    raise StudyError(
                        f"{self.name}: the loss is {loss} at step {step}; "
                        "lower learning_rate or max_grad_norm, or look at the pairs"
                    )
        self._unchecked_losses.clear()

    def _batch_metrics(self) -> dict[str, float]:
        margins = self.gather(torch.cat([margins for _, margins, _ in self._step_values]))
        scaled = self.gather(torch.cat([scaled for *_, scaled in self._step_values]))
        losses = self.gather(torch.stack([loss for loss, *_ in self._step_values]))
        if len(margins) != self.batch_size:  # workers, micro-batches or the launcher disagree on the batch
            raise RuntimeError(f"a step saw {len(margins)} pairs over all workers, not {self.batch_size}")
        return {
            "margin": margins.mean().item(),
            "accuracy": (margins > 0).float().mean().item(),
            "loss": F.softplus(-self.beta * scaled).mean().item(),
            "train_loss": losses.mean().item(),
        }

    def _weight_metrics(self, peek: bool = False) -> dict[str, float]:
        """Describe the weights since the last point; `peek` leaves them for the next point."""
        if not self._log_weights:
            return {}
        log_weights = self.gather(torch.cat(self._log_weights)).double()
        weights = (log_weights.clamp(max=0) if self.capped else log_weights).exp()
        at_cap = (log_weights >= 0).double()
        if not peek:
            self._log_weights.clear()
            self._accumulate(weights, at_cap)
        levels = torch.tensor(WEIGHT_QUANTILES, dtype=weights.dtype, device=weights.device)
        quantiles = dict(zip(WEIGHT_QUANTILES, weights.quantile(levels).tolist(), strict=True))
        return {
            "weight_mean": weights.mean().item(),
            "weight_min": weights.min().item(),
            "weight_max": weights.max().item(),
            "weight_capped_share": at_cap.mean().item(),
            "weight_ess": (weights.sum().square() / weights.square().sum()).item(),
        } | {f"weight_q{round(100 * level):02d}": value for level, value in quantiles.items()}

    def _accumulate(self, weights: Tensor, at_cap: Tensor) -> None:
        new = {
            "n": float(len(weights)),
            "sum": weights.sum().item(),
            "squares": weights.square().sum().item(),
            "capped": at_cap.sum().item(),
        }
        old = self.weight_sums
        extremes = {
            "min": min(weights.min().item(), old.get("min", float("inf"))),
            "max": max(weights.max().item(), old.get("max", 0.0)),
        }
        self.weight_sums = {key: old.get(key, 0.0) + value for key, value in new.items()} | extremes

    def weight_summary(self) -> dict[str, float]:
        """Return the weight metrics over all pairs of the run, without quantiles; empty without weights."""
        sums = self.weight_sums
        if not sums:
            return {}
        return {
            "weight_mean": sums["sum"] / sums["n"],
            "weight_min": sums["min"],
            "weight_max": sums["max"],
            "weight_capped_share": sums["capped"] / sums["n"],
            "weight_ess": sums["sum"] ** 2 / sums["squares"],
        }

    def save(self, checkpoint: Path, rank: int) -> None:
        """Write this worker's part of the curve into a checkpoint folder; floats survive JSON exactly."""
        window = [part.tolist() for part in self._log_weights]
        state = {
            "points": self.points,
            "heldout_points": self.heldout_points,
            "weight_sums": self.weight_sums,
            "window": window,
            "origin": self.origin,
        }
        (checkpoint / CURVE_FILE.format(rank)).write_text(json.dumps(state))

    def restore(self, checkpoint: Path, rank: int, workers: int, device: torch.device) -> None:
        """Continue the curve that a checkpoint holds; another number of workers divides the weights anew."""
        saved = [
            json.loads((checkpoint / CURVE_FILE.format(writer)).read_text())
            for writer in range(len(list(checkpoint.glob(CURVE_FILE.format("*")))))
        ]
        state = saved[rank if len(saved) == workers else 0]
        self.points, self.weight_sums = state["points"], state["weight_sums"]
        self.heldout_points = state.get("heldout_points", [])
        self.origin = in_turn(state.get("origin", {}), self.origin)
        window = state["window"]
        if window and len(saved) != workers:
            weights = [weight for part in saved for micro_batch in part["window"] for weight in micro_batch]
            share = len(weights) // workers
            window = [weights[rank * share : (rank + 1) * share]]
        self._log_weights = [torch.tensor(part, device=device) for part in window]
