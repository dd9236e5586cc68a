"""How a comparison is judged beyond the published rule."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Levels and tolerances.

    margin_pp: a diff inside +-margin_pp counts as practically null (percentage points).
    level: coverage of an interval; 1 - level is the family-wise error over a method's splits.
    draws, seed: of the pigeonhole bootstrap.
    stated_pp: diffs that the power tables ask for (percentage points).
    window: optimiser steps between which the learning curves are averaged.
    loss_tolerance: how far the loss of step 0 may be from log 2 (nats).
    moved_nats: the smallest |margin| of a trained arm that counts as having moved (nats).
    token_tolerance: how far two arms' counts of tokens may be apart (share).
    tail_pairs: training pairs behind one `pref_acc_tail` (logged batches of the tail x batch size); None
        where it is not known, and what the published rule says about nothing is then not simulated.
    tail_accuracy: an arm's typical `pref_acc_tail` (share), where no cell tells it.
    """

    margin_pp: float = 1.0
    level: float = 0.95
    draws: int = 2000
    seed: int = 0
    stated_pp: tuple[float, ...] = (1.0, 2.5, 5.0)
    window: tuple[int, int] = (200, 800)
    loss_tolerance: float = 1e-3
    moved_nats: float = 1e-3
    token_tolerance: float = 0.2
    tail_pairs: int | None = None
    tail_accuracy: float | None = None
