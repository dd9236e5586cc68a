"""What a training run looked like: the curve of an arm, from values its loss has computed anyway."""

import json
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import TrainerCallback

from training.errors import StudyError

FILE = "curve-{}.json"  # one a worker
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class CurveRecorder(TrainerCallback):  # type: ignore[misc]
    """One point at step 0 and one every `every` steps (and at the last), in `points`: dicts with a `step`.

    A point describes the global batch of that step, before its update: `margin` (mean, nats, without beta),
    `accuracy` (share with margin > 0), `loss` (mean -log sigmoid(beta * margin), log 2 at step 0 for every
    method) and `train_loss` (the objective optimised). Under WPO also the pair weights min(w_chosen *
    w_rejected, 1) (not capped with `wpo_clamp: trl`) of *all* pairs since the last point: mean, min, max,
    quantiles, the share of products at or above 1, and the effective sample size (sum w)^2 / sum w^2.
    Values stay on the device and are read at points only. Raises RuntimeError if a step's global batch is not
    `batch_size` pairs, and StudyError, which begins with `name`, if a loss since the last one is not finite.
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
        self.points: list[dict[str, float]] = []
        self.weight_sums: dict[str, float] = {}
        self._step: list[tuple[Tensor, Tensor]] = []
        self._window: list[Tensor] = []
        self._losses: list[tuple[int, Tensor]] = []

    def observe(self, loss: Tensor, margins: Tensor, log_weights: Tensor | None = None) -> None:
        """A micro-batch of B pairs: loss, margins [B] and, under WPO, log(w_chosen * w_rejected) [B]."""
        self._step.append((loss, margins))
        if log_weights is not None:
            self._window.append(log_weights)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Read the device where a point is due."""
        step = state.global_step
        self._losses += [(step, loss) for loss, _ in self._step]
        due = step % self.every == 0 or step == state.max_steps
        if step == 1 or due:
            self.refuse_lost()
        if step == 1:
            self.points.append({"step": 0, **self._batch(), **self._weights(keep=True)})
        if due:
            self.points.append({"step": step, **self._batch(), **self._weights()})
        self._step.clear()

    def refuse_lost(self) -> None:
        """Read the losses since the last time: StudyError of all workers for the first that is not finite."""
        steps = [step for step, _ in self._losses]
        if not steps:
            return
        losses = self.gather(torch.stack([loss for _, loss in self._losses])).view(-1, len(steps))
        for step, of_workers in zip(steps, losses.T.tolist(), strict=True):
            for loss in of_workers:
                if not isfinite(loss):
                    raise StudyError(
                        f"{self.name}: the loss is {loss} at step {step}; "
                        "lower learning_rate or max_grad_norm, or look at the pairs"
                    )
        self._losses.clear()

    def _batch(self) -> dict[str, float]:
        margins = self.gather(torch.cat([margins for _, margins in self._step]))
        loss = self.gather(torch.stack([loss for loss, _ in self._step]))
        if len(margins) != self.batch_size:  # workers, micro-batches or the launcher disagree on the batch
            raise RuntimeError(f"a step saw {len(margins)} pairs over all workers, not {self.batch_size}")
        return {
            "margin": margins.mean().item(),
            "accuracy": (margins > 0).float().mean().item(),
            "loss": F.softplus(-self.beta * margins).mean().item(),
            "train_loss": loss.mean().item(),
        }

    def _weights(self, keep: bool = False) -> dict[str, float]:
        if not self._window:
            return {}
        log_weights = self.gather(torch.cat(self._window)).double()
        weights = (log_weights.clamp(max=0) if self.capped else log_weights).exp()
        at_cap = (log_weights >= 0).double()
        if not keep:
            self._window.clear()
            self._accumulate(weights, at_cap)
        levels = torch.tensor(QUANTILES, dtype=weights.dtype, device=weights.device)
        quantiles = dict(zip(QUANTILES, weights.quantile(levels).tolist(), strict=True))
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
        """The same numbers over all pairs of the run, without quantiles; empty where no pair has a weight."""
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
        """Write this worker's view of the curve into a checkpoint folder; floats survive JSON exactly."""
        window = [part.tolist() for part in self._window]
        state = {"points": self.points, "weight_sums": self.weight_sums, "window": window}
        (checkpoint / FILE.format(rank)).write_text(json.dumps(state))

    def restore(self, checkpoint: Path, rank: int, device: torch.device) -> None:
        """Go on with the curve of a checkpoint."""
        state = json.loads((checkpoint / FILE.format(rank)).read_text())
        self.points, self.weight_sums = state["points"], state["weight_sums"]
        self._window = [torch.tensor(part, device=device) for part in state["window"]]


def curve(points: list[dict[str, float]]) -> pd.DataFrame:
    """Points as a long table: step, metric, value."""
    return pd.DataFrame(points).melt("step", var_name="metric", value_name="value").dropna(ignore_index=True)


def summarise(points: list[dict[str, float]]) -> dict[str, float]:
    """Final metrics of a curve. `*_tail` average the last 20 % of the logged points, at least one; the point
    of step 0 is not a logged one. `steps_to_60pct`: first logged step with accuracy >= 0.6, absent if never.
    """
    logged = pd.DataFrame(points[1:])
    tail = logged.tail(max(1, len(logged) // 5)).mean()
    first, last = points[0], points[-1]
    summary = {
        "pref_acc_tail": float(tail["accuracy"]),
        "train_loss_tail": float(tail["train_loss"]),
    }
    for metric in ("loss", "margin"):
        summary |= {
            f"{metric}_step0": first[metric],
            f"{metric}_final": last[metric],
            f"{metric}_tail": float(tail[metric]),
        }
    reached = logged.loc[logged["accuracy"] >= 0.6, "step"]
    return summary if reached.empty else summary | {"steps_to_60pct": float(reached.iloc[0])}
