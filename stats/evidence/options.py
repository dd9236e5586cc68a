"""Levels and tolerances of everything in a comparison but the published rule."""

from dataclasses import dataclass

from stats.evidence.beforehand import DivergedCells, MissingRule


@dataclass(frozen=True)
class Options:
    """Levels and tolerances.

    margin_pp: a diff whose interval lies inside +-margin_pp is practically null (percentage points).
    missing: what a split with missing cells or unscored pairs gets.
    diverged, diverged_ratio: what becomes of a cell that ended with a loss above that many times the loss of
        step 0.
    level: coverage of an interval; 1 - level is the family-wise error over a method's splits.
    seed: random seed of the simulations and of the sign flips that are drawn.
    stated_pp: diffs for which the power tables give the seeds and pairs needed (percentage points).
    window: optimiser steps between which the learning curves are averaged.
    loss_tolerance: largest distance of the loss at step 0 from log 2 (nats).
    moved_nats: smallest |margin| at which a trained arm counts as having moved (nats).
    token_tolerance: largest difference between two arms' token counts (share of the larger).
    tail_pairs: training pairs behind one `pref_acc_tail` (logged batches of the tail x batch size); None if
        unknown, and then nothing is simulated about the published rule's errors.
    tail_accuracy: an arm's typical `pref_acc_tail` (share); None takes the mean over the cells.
    """

    margin_pp: float = 1.0
    missing: MissingRule = MissingRule.REQUIRE
    diverged: DivergedCells = DivergedCells.AS_THEY_ARE
    diverged_ratio: float = 2.0
    level: float = 0.95
    seed: int = 0
    stated_pp: tuple[float, ...] = (1.0, 2.5, 5.0)
    window: tuple[int, int] = (200, 800)
    loss_tolerance: float = 1e-3
    moved_nats: float = 1e-3
    token_tolerance: float = 0.2
    tail_pairs: int | None = None
    tail_accuracy: float | None = None

    @property
    def alpha(self) -> float:
        """The family-wise error, 1 - level."""
        return 1 - self.level
