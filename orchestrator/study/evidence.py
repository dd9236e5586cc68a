"""Rules of the evidence that a study fixes before it has any outcome; they are part of the sealed plan."""

from pydantic import Field

from stats.evidence.beforehand import DivergedCells
from stats.rule.labels import Prediction
from training.spec import RandomSplit
from training.values import Seed, Spec

FIRST_SEED = 1_000_000  # of the halves, so that they are not those of a split `by: random`


class Divergence(Spec):
    """When a cell counts as diverged, and what becomes of it."""

    loss_ratio: float = Field(
        2.0,
        gt=1,
        description="A cell has diverged if an arm's loss over the training tail exceeds this many times its "
        "loss at step 0.",
    )
    count: DivergedCells = Field(
        DivergedCells.AS_THEY_ARE,
        description="Diverged cells count as_they_are or as_missing. A rule chosen after seeing them biases "
        "the verdicts.",
    )


class Controls(Spec):
    """Cells in which nothing is true: what the methods, intervals and labels make of chance alone."""

    random_halves: int = Field(
        0,
        ge=0,
        le=100,
        description="Random halves of all users to train every method on, seed by seed. They show how often "
        "chance alone gives each label; 0 trains none.",
    )
    seed: Seed = Field(0, description="Seed for drawing the halves.")

    @property
    def splits(self) -> dict[str, RandomSplit]:
        """The halves by the name of their split."""
        return {
            f"random-half-{number}": RandomSplit(
                predicted=Prediction.EXPLORATORY.value, seed=FIRST_SEED * (1 + self.seed) + number
            )
            for number in range(1, self.random_halves + 1)
        }
