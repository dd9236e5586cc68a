"""An estimate, the parts of its variance, and the intervals and p values that follow from them.

Each part of a variance is estimated with its own degrees of freedom: the seeds' part with few, the users'
with many. An interval at 1 - alpha adds the squares of what each part would need alone,

    half the width = sqrt(sum_i t(1 - alpha / 2, df_i)^2 V_i).

It has at least its nominal coverage, whatever the parts are (Banerjee 1960, Calcutta Statist. Assoc. Bull.
10). Satterthwaite's single number of degrees of freedom does not: where the seeds' spread is small by chance,
little variance and the users' many degrees of freedom remain (docs/statistics.md has the simulations).

Where outcomes are missing, the truth is known only to lie within some distance of what the others estimate
(Manski 1990, Am. Econ. Rev. 80). The interval is widened by that distance, and its tails share the error as
in Imbens & Manski (2004, Econometrica 72): a truth at one end of the range is hardly missed at the other.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

from scipy.optimize import brentq
from scipy.special import stdtrit

SMALLEST_TAIL = 1e-15  # smaller tails are not distinguished

BOTH = "new seeds and new users"
USERS_ONLY = "new users under this one seed; nothing about other seeds"
BORROWED = (
    "new users and new seeds, if the seeds spread as widely as the reference's (the method has one seed)"
)
THESE_SEEDS = "new users under these same seeds"
SAME_PAIRS = "new seeds on these same pairs and users"
PREDICTION = "one seed, against the spread of the reference's seeds; nothing about new pairs or users"
SINGLE = "one seed and no reference seeds: no spread is known"
TRAINING_TAIL = "new seeds, each with the training pairs it ends on; nothing about new users"
# The same where several users rated an item, so that items are a source of chance, too.
WITH_ITEMS = {
    BOTH: "new seeds, new users and new items",
    USERS_ONLY: "new users and new items under this one seed; nothing about other seeds",
    BORROWED: "new users, new items and new seeds, if the seeds spread as widely as the reference's (the "
    "method has one seed)",
    THESE_SEEDS: "new users and new items under these same seeds",
    SAME_PAIRS: SAME_PAIRS,
}
# A method's own spread over seeds is unknown here, so these can neither support nor contradict a prediction.
OF_ONE_SEED = frozenset(
    {USERS_ONLY, BORROWED, PREDICTION, SINGLE, WITH_ITEMS[USERS_ONLY], WITH_ITEMS[BORROWED]}
)


@dataclass(frozen=True)
class Part:
    """A part of an estimate's variance, and the degrees of freedom with which it is known."""

    variance: float
    df: float


@dataclass(frozen=True)
class Estimate:
    """An estimate with the parts of its variance.

    value: the estimate, in the contrast's unit.
    parts: empty where the data determine no variance; `note` says why.
    captures: the uncertainty that the variance describes.
    slack: how far from what is estimated the truth may lie because of missing outcomes, in the same unit.
    """

    value: float
    parts: tuple[Part, ...]
    captures: str
    note: str = ""
    slack: float = 0.0

    @property
    def se(self) -> float | None:
        """The standard error; None where the data determine no variance."""
        return sqrt(sum(part.variance for part in self.parts)) if self.parts else None

    def half(self, tail: float) -> float:
        """Return half the width of the interval that misses what is estimated by `tail` on each side."""
        return sqrt(sum(float(stdtrit(part.df, tail)) ** 2 * part.variance for part in self.parts))

    def interval(self, level: float) -> tuple[float, float] | None:
        """Return the interval with coverage `level` or more; None where the data determine no variance."""
        if not self.parts:
            return None
        half = self.slack + self.half(self._tail_for(1 - level))
        return self.value - half, self.value + half

    @property
    def p(self) -> float | None:
        """The two-sided p value against zero: 1 less the level of the widest interval without zero."""
        if not self.parts:
            return None
        distance = abs(self.value) - self.slack
        return 1.0 if distance <= 0 else self._error_of(self._tail_beyond(distance))

    def p_equivalent(self, margin: float) -> float | None:
        """Return the larger p value of two one-sided tests (Schuirmann 1987) of |truth| >= margin."""
        if not self.parts:
            return None
        inside = margin - abs(self.value) - self.slack
        return self._tail_beyond(inside) if inside >= 0 else 1 - self._tail_beyond(-inside)

    def _tail_for(self, error: float) -> float:
        """Return the tail on each side that makes an interval with an error of `error`, at most."""
        if not self.slack:
            return error / 2
        return float(brentq(lambda tail: self._error_of(tail) - error, error / 2, min(error, 0.5)))

    def _error_of(self, tail: float) -> float:
        """Return how often a truth at one end of the range is missed, on that side or beyond the other."""
        return tail + (self._tail_beyond(self.half(tail) + 2 * self.slack) if self.slack else tail)

    def _tail_beyond(self, distance: float) -> float:
        """Return the tail whose half width is `distance`, at most a half."""
        if distance <= 0:
            return 0.5
        if self.half(SMALLEST_TAIL) <= distance:
            return SMALLEST_TAIL
        log_tail = brentq(lambda x: self.half(exp(x)) - distance, log(SMALLEST_TAIL), log(0.5))
        return exp(float(log_tail))


def without_interval(value: float, captures: str, note: str) -> Estimate:
    """Return an estimate whose variance the data do not determine."""
    return Estimate(float(value), (), captures, note)
