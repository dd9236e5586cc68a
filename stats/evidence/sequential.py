"""Which verdicts are settled, which another seed may settle, and which no seed will, after any finished cell.

Every seed of a split scores the same held-out users, so the estimate after n seeds has the variance
V_users + sigma^2 / n, and estimates after j <= n seeds have the covariance Var(est[n]): the joint
distribution of a group-sequential trial (Jennison & Turnbull 2000, ch. 3). Each seed count from `start` to
`most` is a look. The parts of the variance are those of the crossed analysis of variance
(`stats.evidence.anova`); `stats.evidence.boundaries` gives the distance from zero that an estimate needs, so
that all looks together err at a stated level.

The same is done for changes from the reference, pair by pair on the seeds that both have, as a family of
their own: whether a method changed what the reference showed is a question beside what it shows itself.

Each of these claims is kept whatever finishes later:

- *differs from zero*, on the side of the estimate: Holm over the sequential p values (Liu & Anderson 2008;
  Maurer & Bretz 2013) of a method's k predicted splits. The probability of a false claim is at most
  1 - level.
- *practically null*: the repeated confidence interval (Jennison & Turnbull 1989) at 1 - (1 - level) / k,

      est[n] +- reach(c[n]),    c[n] the nominal level of the look (`stats.evidence.boundaries`),

  lies inside the margin at some look. With probability `level`, the intervals of all looks and all k splits
  contain their true values, so the probability of a false claim is at most 1 - level.

A split stops undecided where, with the variances estimated so far, further seeds have too little chance of
deciding for what they cost. Stopping spends no error, because going on is always allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stats.arrays import Floats
from stats.evidence.anova import estimate, mean_squares
from stats.evidence.boundaries import reach
from stats.evidence.crossed import CrossedTable, crossed_table, difference
from stats.evidence.decision import Decision, SplitState
from stats.evidence.looks import EstimatePath, Looks, estimate_path
from stats.evidence.outlook import chance_to_decide, needed_to_decide
from stats.evidence.quantity import CHANGE, DIFF
from stats.evidence.signs import sign_e_value
from stats.multiplicity import holm
from stats.rule.labels import Prediction

NOT_NEEDED = {"needed_seeds": np.nan, "needed_pairs": np.nan, "cheaper": ""}
DECISION_COLUMNS = [
    *(
        "method",
        "split",
        "quantity",
        "predicted",
        "state",
        "seeds",
        "look",
        "estimate",
        "low",
        "high",
        "p_holm",
        "e_sign",
    ),
    *("needed_seeds", "needed_pairs", "cheaper", "chance", "note"),
]


@dataclass(frozen=True)
class _Family:
    """What the splits of one method share.

    p_holm: adjusted p values of the predicted splits. claimed: those that differ from zero.
    last_level: the level of Holm's last step, which no claimed p value exceeds.
    inner, outer: nominal levels [looks] of the interval that claims practically null, and of Holm's next
        step.
    pooled: see `_pooled_variance`.
    """

    p_holm: Mapping[str, float]
    claimed: frozenset[str]
    last_level: float
    inner: Floats
    outer: Floats
    pooled: tuple[float, int]


def decide(
    sums: pd.DataFrame,
    predictions: Mapping[str, str],
    looks: Looks,
    seeds: Mapping[str, Sequence[int]],
    reference: str,
) -> pd.DataFrame:
    """Decide every diff, and every change from the reference, from the cells that have finished so far.

    A split's looks use the seeds before the first unfinished one in `seeds`; later seeds do not count yet.

    Args:
        sums: the result of `stats.evidence.sums.user_sums`, of one study; may lack methods, splits and seeds.
        predictions: split -> predicted.
        looks: the design.
        seeds: method -> its seeds in the order in which they are taken, `looks.most` of them.
        reference: the method that the others are compared with. If `seeds` has it, changes from it are
            decided, too.

    Returns:
        One row per (method, split, quantity): method, split, quantity (DIFF or CHANGE of
        `stats.evidence.quantity`), predicted; state (see `SplitState`); seeds (finished ones that count; for
        a change, by both methods); look (seed count that settled the split, otherwise the last; NaN before
        the first); estimate, low, high (pp, repeated interval, of that look); p_holm; e_sign (of all seeds
        that count, see `stats.evidence.signs`: it is valid whenever one stops); for unsettled splits
        needed_seeds and needed_pairs (of both groups), each of which would decide with 80 % power if the
        estimate were the truth, infinite where no number is enough; cheaper (`seeds` or `pairs`: whichever
        must grow by the smaller factor), chance (the probability that seeds up to `most` decide); note.

    Raises:
        TableError: No contrast can be made from the outcomes (`stats.evidence.crossed`).
    """
    rows: list[dict[str, object]] = []
    sums_of = dict(iter(sums.groupby(["method", "split"], sort=False))) if len(sums) else {}
    tables_of = {
        method: {
            split: table
            for split in predictions
            if (table := _finished_seeds(sums_of.get((method, split)), order[: looks.most])) is not None
        }
        for method, order in seeds.items()
    }
    for method, tables in tables_of.items():
        rows += _rows_of_family(method, DIFF, tables, predictions, looks)
        if method != reference and reference in tables_of:
            changes = {
                split: _paired(table, tables_of[reference][split])
                for split, table in tables.items()
                if split in tables_of[reference]
            }
            rows += _rows_of_family(method, CHANGE, changes, predictions, looks)
    return pd.DataFrame(rows, columns=DECISION_COLUMNS)


def _paired(method: CrossedTable, reference: CrossedTable) -> CrossedTable:
    """Return the change on the seeds that both have, in the order in which they were taken."""
    common = [seed for seed in method.seeds if seed in reference.seeds]
    return difference(method, reference).taking(common)


def _rows_of_family(
    method: str,
    quantity: str,
    tables: Mapping[str, CrossedTable],
    predictions: Mapping[str, str],
    looks: Looks,
) -> list[dict[str, object]]:
    paths = {split: estimate_path(table, looks) for split, table in tables.items()}
    rows: list[dict[str, object]] = []
    for split, decision in decide_family(paths, predictions, looks).items():
        row: dict[str, object] = {
            "method": method,
            "split": split,
            "quantity": quantity,
            "predicted": predictions[split],
            "state": decision.state,
            "seeds": len(tables[split].seeds) if split in tables else 0,
            "look": looks.start + decision.at if decision.at >= 0 else np.nan,
            "estimate": paths[split].value[decision.at] if decision.at >= 0 else np.nan,
            "low": decision.low,
            "high": decision.high,
            "p_holm": decision.p_holm,
            "e_sign": sign_e_value(tables[split].values) if split in tables else np.nan,
            "chance": decision.chance,
            "note": decision.note,
        }
        unsettled = decision.at >= 0 and decision.state in (SplitState.OPEN, SplitState.UNDECIDED)
        rows.append({**row, **(_needed(tables[split], looks, predictions) if unsettled else NOT_NEEDED)})
    return rows


def decide_family(
    paths: Mapping[str, EstimatePath], predictions: Mapping[str, str], looks: Looks
) -> dict[str, Decision]:
    """Decide the splits of one method; a split without a path has no look yet."""
    family = _family(paths, predictions, looks)
    decisions = {}
    for split, predicted in predictions.items():
        path = paths.get(split)
        if path is None or not len(path.p):
            decisions[split] = Decision(SplitState.OPEN, -1)
        elif predicted == Prediction.EXPLORATORY:
            decisions[split] = _describe(path, looks)
        else:
            decisions[split] = _decide_split(split, predicted, path, family, looks)
    return decisions


def _family(paths: Mapping[str, EstimatePath], predictions: Mapping[str, str], looks: Looks) -> _Family:
    error = 1 - looks.level
    tested = [split for split, predicted in predictions.items() if predicted != Prediction.EXPLORATORY]
    smallest = [paths[split].p[-1] if split in paths and len(paths[split].p) else 1.0 for split in tested]
    p_holm = dict(zip(tested, map(float, holm(np.array(smallest))), strict=True))
    claimed = frozenset(split for split, p in p_holm.items() if p <= error)
    return _Family(
        p_holm,
        claimed,
        # Holm rejects nothing whose p value is above the level of its last step.
        last_level=error / max(1, len(tested) - max(0, len(claimed) - 1)),
        inner=looks.levels(error / max(1, len(tested))),
        outer=looks.levels(error / max(1, len(tested) - len(claimed))),
        pooled=_pooled_variance(paths.values()),
    )


def _describe(path: EstimatePath, looks: Looks) -> Decision:
    """Give an exploratory split the interval that it would have alone, and decide nothing."""
    half = path.half(looks.levels(1 - looks.level))[-1]
    note = "exploratory: outside the family of tests, no seeds beyond the first"
    ends = path.value[-1] - half, path.value[-1] + half
    return Decision(SplitState.UNDECIDED, len(path.p) - 1, *ends, note=note)


def _decide_split(split: str, predicted: str, path: EstimatePath, family: _Family, looks: Looks) -> Decision:
    half = path.half(family.inner)
    low, high = path.value - half, path.value + half
    null = np.flatnonzero((low > -looks.margin_pp) & (high < looks.margin_pp))
    chance, note = np.nan, ""
    if len(null):
        state, at = SplitState.PRACTICALLY_NULL, int(null[0])
        note = "differs from zero, by less than the margin" if split in family.claimed else ""
    elif split in family.claimed:
        # Holm multiplies p, and this compares with a quotient: the two may round differently.
        at = int(np.argmax(path.p <= family.last_level * (1 + 1e-9)))
        side = Prediction.A_ABOVE_B if path.value[at] > 0 else Prediction.A_BELOW_B
        state = SplitState.SUPPORTED if predicted == side else SplitState.CONTRADICTED
    else:
        state, at = SplitState.OPEN, len(path.p) - 1
        chances = _chances(path, family, looks)
        chance = float(chances.max(initial=0.0))
        if at + looks.start >= looks.most:
            state, note = SplitState.UNDECIDED, f"reached the limit of {looks.most} seeds"
        elif (chances < looks.worth * np.arange(1, len(chances) + 1)).all():
            state, note = SplitState.UNDECIDED, "more seeds are unlikely to decide"
        if np.isnan(path.of_users[at]):
            note = path.note
    return Decision(state, at, low[at], high[at], family.p_holm[split], chance, note)


def _chances(path: EstimatePath, family: _Family, looks: Looks) -> Floats:
    """Return the predictive probability that a later look decides, by look (Spiegelhalter et al. 1986).

    The result is empty without an interval. Given est[n], est[N] is est[n] + sigma sqrt(1/n - 1/N) t, if
    nothing was known about the truth before. sigma is pooled over all splits of the method, because one or
    two degrees of freedom say little; stopping costs no error.
    """
    n, of_users = int(path.seeds[-1]), path.of_users[-1]
    later = np.arange(n + 1, looks.most + 1)
    if not len(later) or np.isnan(of_users):
        return np.empty(0)
    of_one_seed, df = family.pooled
    beyond, within = (
        reach(levels[-len(later) :], later, of_one_seed / later, of_users, path.users)
        for levels in (family.outer, family.inner)
    )
    spread = np.sqrt(of_one_seed * (1 / n - 1 / later))
    return chance_to_decide(path.value[-1], spread, df, beyond, looks.margin_pp - within)


def _pooled_variance(paths: Iterable[EstimatePath]) -> tuple[float, int]:
    """Return (variance over seeds of one seed's diff, degrees of freedom), pooled over a method's splits."""
    parts = [(int(path.seeds[-1]), float(path.of_seeds[-1])) for path in paths if len(path.value)]
    df = sum(n - 1 for n, _ in parts)
    return sum((n - 1) * n * of_seeds for n, of_seeds in parts) / max(1, df), df


def _finished_seeds(sums: pd.DataFrame | None, order: Sequence[int]) -> CrossedTable | None:
    """Return the contrast of the seeds before the first unfinished one in `order`; None if there are none."""
    if sums is None:
        return None
    finished = set(sums["seed"])
    count = next((place for place, seed in enumerate(order) if seed not in finished), len(order))
    seeds = list(order[:count])
    return crossed_table(sums[sums["seed"].isin(seeds)]).taking(seeds) if seeds else None


def _needed(table: CrossedTable, looks: Looks, predictions: Mapping[str, str]) -> dict[str, object]:
    """Return the seeds or pairs that would decide, at the last look's level of Holm's first step."""
    squares = mean_squares(table)
    if not estimate(squares).parts:
        return NOT_NEEDED
    pairs = sum(float(group.pairs.sum()) for group in table.groups)
    tested = sum(predicted != Prediction.EXPLORATORY for predicted in predictions.values())
    alpha = float(looks.levels((1 - looks.level) / max(1, tested))[-1])
    more_seeds, more_pairs = needed_to_decide(squares, pairs, alpha, looks.margin_pp)
    by_seeds, by_pairs = more_seeds / squares.seeds, more_pairs / pairs
    cheaper = "" if min(by_seeds, by_pairs) == np.inf else "seeds" if by_seeds <= by_pairs else "pairs"
    return {"needed_seeds": more_seeds, "needed_pairs": more_pairs, "cheaper": cheaper}
