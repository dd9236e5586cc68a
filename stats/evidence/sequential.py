"""Which verdicts are settled, which another seed may settle, and which no seed will: after any finished cell.

Every seed of a split scores the same held-out users, so the estimate after n seeds has the variance
V_users + sigma^2 / n, and estimates after j <= n seeds have the covariance Var(est[n]): the joint
distribution of a group-sequential trial (Jennison & Turnbull 2000, ch. 3). Each seed count from `start` to
`most` is a look. The parts of the variance are the crossed analysis of variance's (`stats.evidence.anova`);
how far
from zero an estimate must be says `stats.evidence.boundaries`, so that all looks together err at a
stated level.

Claims, each of which is kept whatever finishes later:

- *differs from zero*, on the side of the estimate: Holm over the sequential p values (Liu & Anderson 2008;
  Maurer & Bretz 2013) of a method's k predicted splits. A false one is made with at most 1 - level.
- *practically null*: the repeated confidence interval (Jennison & Turnbull 1989) at 1 - (1 - level) / k,

      est[n] +- reach(c[n]),    c[n] the nominal level of the look (`stats.evidence.boundaries`),

  lies inside the margin at some look. The intervals of all looks and all k splits together hold their truths
  with `level`, so a false one is made with at most 1 - level.

Where the variances found so far leave further seeds too little chance of deciding for what they cost, a split
stops undecided. No error is spent on that: going on is always allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.evidence.anova import estimate, squares, variance_parts
from stats.evidence.boundaries import Spending, nominal, reach, sequential_p
from stats.evidence.crossed import Crossed, Floats, crossed
from stats.evidence.judge import CONTRADICTED, NULL, SUPPORTED, UNDECIDED
from stats.evidence.power import chance_to_decide, needed_to_decide

OPEN = "open"
EXPLORATORY = "exploratory"
SEEDS, PAIRS = "seeds", "pairs"
NOT_NEEDED = {"needed_seeds": np.nan, "needed_pairs": np.nan, "cheaper": ""}
FOUND = ["method", "split", "predicted", "state", "seeds", "look", "estimate", "low", "high", "p_holm"]
OUTLOOK = ["needed_seeds", "needed_pairs", "cheaper", "chance", "note"]


@dataclass(frozen=True)
class Looks:
    """A design: one look a seed count from `start` (two or more) to `most`.

    level: 1 - level is the family-wise error over a method's splits and all looks.
    margin_pp: an interval inside +-margin_pp is practically null (percentage points).
    worth: a split stops unless some number of further seeds decides with this chance for each of them.
    spending: n of `most` seeds may spend the share of the error that the distribution function of Beta(a, b)
        has at n / most. (5, 6) spends hardly any on the first seeds, which can decide nothing, and most
        around the ninth of twenty. This and `worth` were chosen by simulation (docs/seeds.md).
    """

    start: int
    most: int
    level: float = 0.95
    margin_pp: float = 1.0
    worth: float = 0.02
    spending: Spending = (5.0, 6.0)

    def levels(self, alpha: float) -> Floats:
        """Nominal levels [looks] that together spend alpha."""
        return nominal(self.start, self.most, self.spending, alpha)


@dataclass(frozen=True)
class Path:
    """A split's looks so far, one an entry: estimate (pp), the parts of its variance (nan where the data tell
    none), sequential p value. start: seeds of the first; users: of the smaller group."""

    start: int
    users: int
    value: Floats
    of_seeds: Floats
    of_users: Floats
    p: Floats
    note: str = ""

    @property
    def seeds(self) -> npt.NDArray[np.int_]:
        return np.arange(self.start, self.start + len(self.value))

    def until(self, looks: int) -> "Path":
        """Its first looks."""
        return self._cut(slice(looks), self.start, self.p[:looks])

    def under(self, looks: Looks) -> "Path":
        """The same estimates under another design that starts no earlier."""
        rows = slice(looks.start - self.start, looks.most - self.start + 1)
        value, of_seeds, of_users = self.value[rows], self.of_seeds[rows], self.of_users[rows]
        return self._cut(rows, looks.start, _p(value, of_seeds, of_users, self.users, looks))

    def _cut(self, rows: slice, start: int, p: Floats) -> "Path":
        value, of_seeds, of_users = self.value[rows], self.of_seeds[rows], self.of_users[rows]
        return Path(start, self.users, value, of_seeds, of_users, p, self.note)

    def half(self, levels: Floats) -> Floats:
        """Half the repeated interval's width, by look."""
        return reach(levels[: len(self.value)], self.seeds, self.of_seeds, self.of_users, self.users)


@dataclass(frozen=True)
class Decision:
    """Of one split. `at`: the look (from 0) that settled it, else its last; -1 where there is none."""

    state: str
    at: int
    low: float = np.nan
    high: float = np.nan
    p_holm: float = np.nan
    chance: float = np.nan
    note: str = ""


def path(table: Crossed, looks: Looks) -> Path:
    """Looks at a contrast whose seeds are in the order in which they were taken."""
    counts = np.arange(looks.start, len(table.seeds) + 1)
    value = table.values.cumsum()[looks.start - 1 :] / counts
    of_seeds, of_users = variance_parts(table, looks.start)
    users = min(len(group.pairs) for group in table.groups)
    p = _p(value, of_seeds, of_users, users, looks)
    return Path(looks.start, users, value, of_seeds, of_users, p, estimate(table).note)


def _p(value: Floats, of_seeds: Floats, of_users: Floats, users: int, looks: Looks) -> Floats:
    return sequential_p(value, of_seeds, of_users, users, looks.start, looks.most, looks.spending)


def family(paths: Mapping[str, Path], predictions: Mapping[str, str], looks: Looks) -> dict[str, Decision]:
    """Decide the splits of one method; splits without a path have no look yet."""
    error = 1 - looks.level
    tested = [split for split, predicted in predictions.items() if predicted != EXPLORATORY]
    smallest = [paths[s].p[-1] if s in paths and len(paths[s].p) else 1.0 for s in tested]
    p_holm = dict(zip(tested, map(float, holm(np.array(smallest))), strict=True))
    claimed = {split: p <= error for split, p in p_holm.items()}
    # Holm rejects nothing whose p value is above the level of its last step.
    last_step = error / max(1, len(tested) - max(0, sum(claimed.values()) - 1))
    next_step = error / max(1, len(tested) - sum(claimed.values()))
    inner = looks.levels(error / max(1, len(tested)))
    alone = looks.levels(error)
    outer = looks.levels(next_step)
    pooled = _pooled(paths.values())
    found = {}
    for split, predicted in predictions.items():
        have = paths.get(split)
        if have is None or not len(have.p):
            found[split] = Decision(OPEN, -1)
            continue
        if predicted == EXPLORATORY:
            half = have.half(alone)[-1]
            ends = (have.value[-1] - half, have.value[-1] + half)
            note = "exploratory: outside the family of tests, no seeds beyond the first"
            found[split] = Decision(UNDECIDED, len(have.p) - 1, *ends, note=note)
            continue
        half = have.half(inner)
        low, high = have.value - half, have.value + half
        null = np.flatnonzero((low > -looks.margin_pp) & (high < looks.margin_pp))
        chance, note = np.nan, ""
        if len(null):
            state, at = NULL, int(null[0])
            note = "differs from zero, by less than the margin" if claimed[split] else ""
        elif claimed[split]:
            at = int(np.argmax(have.p <= last_step * (1 + 1e-9)))  # Holm's product may round the other way
            state = SUPPORTED if predicted == ("A > B" if have.value[at] > 0 else "A < B") else CONTRADICTED
        else:
            state, at = OPEN, len(have.p) - 1
            chances = _chances(have, looks, outer, inner, pooled)
            chance = float(chances.max(initial=0.0))
            if at + looks.start >= looks.most:
                state, note = UNDECIDED, f"at the most seeds, {looks.most}"
            elif (chances < looks.worth * np.arange(1, len(chances) + 1)).all():
                state, note = UNDECIDED, "more seeds are unlikely to decide"
            if np.isnan(have.of_users[at]):
                note = have.note
        found[split] = Decision(state, at, low[at], high[at], p_holm[split], chance, note)
    return found


def holm(p: Floats) -> Floats:
    """Adjusted p values [..., k] of families of k (Holm 1979). statsmodels' collects garbage at each call."""
    order = np.argsort(p, axis=-1)
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(steps)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, axis=-1), -1)
    return np.minimum(adjusted, 1.0)


def _pooled(paths: Iterable[Path]) -> tuple[float, int]:
    """(variance over seeds of one seed's diff, degrees of freedom) of all splits of a method together."""
    parts = [(int(one.seeds[-1]), float(one.of_seeds[-1])) for one in paths if len(one.value)]
    df = sum(n - 1 for n, _ in parts)
    return sum((n - 1) * n * of_seeds for n, of_seeds in parts) / max(1, df), df


def _chances(have: Path, looks: Looks, outer: Floats, inner: Floats, pooled: tuple[float, int]) -> Floats:
    """Predictive probability that a later look decides, by look (Spiegelhalter et al. 1986); none if there is
    no interval.

    est[N] given est[n] is est[n] + sigma sqrt(1/n - 1/N) t, if nothing was known of the truth. sigma is that
    of all splits of the method: one or two degrees of freedom say little, and a stop costs no error.
    """
    n, of_users = int(have.seeds[-1]), have.of_users[-1]
    later = np.arange(n + 1, looks.most + 1)
    if not len(later) or np.isnan(of_users):
        return np.empty(0)
    one_seed, df = pooled
    beyond, within = (
        reach(levels[-len(later) :], later, one_seed / later, of_users, have.users)
        for levels in (outer, inner)
    )
    spread = np.sqrt(one_seed * (1 / n - 1 / later))
    return chance_to_decide(have.value[-1], spread, df, beyond, looks.margin_pp - within)


def decide(
    sums: pd.DataFrame, predictions: Mapping[str, str], looks: Looks, seeds: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """Decide every split of every method from the cells that have finished, in whatever order.

    A split's looks are those of the longest beginning of `seeds` that has finished; later ones do not count
    yet.

    Args:
        sums: of `stats.evidence.sums.user_sums`, of one study; may lack methods, splits and seeds.
        predictions: split -> predicted.
        seeds: method -> its seeds in the order in which they are taken, `looks.most` of them.

    Returns:
        One row a (method, split): method, split, predicted; state (supported, contradicted, practically null,
        undecided, or open: more seeds please); seeds (finished ones that count); look (seed count that
        settled it, else the last; nan before the first); estimate, low, high (pp, repeated interval, of that
        look); p_holm; of the unsettled: needed_seeds and needed_pairs (of both groups), each of which would
        decide with 80 % power if the estimate were the truth, inf where no number is enough; cheaper (`seeds`
        or `pairs`: whichever must grow by the smaller factor), chance (that seeds up to `most` decide); note.

    Raises:
        TableError: outcomes from which a contrast cannot be made (`stats.evidence.crossed`).
    """
    rows: list[dict[str, object]] = []
    parts = dict(iter(sums.groupby(["method", "split"], sort=False))) if len(sums) else {}
    for method, order in seeds.items():
        tables = {
            split: table
            for split in predictions
            if (table := _prefix(parts.get((method, split)), order[: looks.most])) is not None
        }
        paths = {split: path(table, looks) for split, table in tables.items()}
        for split, decision in family(paths, predictions, looks).items():
            row: dict[str, object] = {
                "method": method,
                "split": split,
                "predicted": predictions[split],
                "state": decision.state,
                "seeds": len(tables[split].seeds) if split in tables else 0,
                "look": looks.start + decision.at if decision.at >= 0 else np.nan,
                "estimate": paths[split].value[decision.at] if decision.at >= 0 else np.nan,
                "low": decision.low,
                "high": decision.high,
                "p_holm": decision.p_holm,
                "chance": decision.chance,
                "note": decision.note,
            }
            unsettled = decision.at >= 0 and decision.state in (OPEN, UNDECIDED)
            rows.append({**row, **(_needed(tables[split], looks, predictions) if unsettled else NOT_NEEDED)})
    return pd.DataFrame(rows, columns=FOUND + OUTLOOK)


def _prefix(rows: pd.DataFrame | None, order: Sequence[int]) -> Crossed | None:
    """The contrast of the longest beginning of `order` that has finished; None without a seed."""
    if rows is None:
        return None
    finished = set(rows["seed"])
    count = next((place for place, seed in enumerate(order) if seed not in finished), len(order))
    taken = list(order[:count])
    return crossed(rows[rows["seed"].isin(taken)]).taking(taken) if taken else None


def _needed(table: Crossed, looks: Looks, predictions: Mapping[str, str]) -> dict[str, object]:
    """What would decide, at the last look's level of Holm's first step."""
    if estimate(table).se is None:
        return NOT_NEEDED
    found, pairs = squares(table), sum(float(group.pairs.sum()) for group in table.groups)
    tested = sum(predicted != EXPLORATORY for predicted in predictions.values())
    alpha = float(looks.levels((1 - looks.level) / max(1, tested))[-1])
    more_seeds, more_pairs = needed_to_decide(found, pairs, alpha, looks.margin_pp)
    by_seeds, by_pairs = more_seeds / found.seeds, more_pairs / pairs
    cheaper = "" if min(by_seeds, by_pairs) == np.inf else SEEDS if by_seeds <= by_pairs else PAIRS
    return {"needed_seeds": more_seeds, "needed_pairs": more_pairs, "cheaper": cheaper}
