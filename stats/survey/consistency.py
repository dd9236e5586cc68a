"""How much the users of a group agree in what they prefer: `consistency`, and the same feature by feature.

The direction x of a pair is the features of its chosen answer minus those of its rejected answer.
Consistency is the mean inner product of the directions of two users' pairs, divided by that of two pairs of
one user. At 1, all users want the same; at 0, each wants something different.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stats.arrays import Floats
from stats.errors import TableError
from stats.survey.group_users import user_codes


@dataclass(frozen=True)
class GroupDirections:
    """The preferred directions of one group's users.

    x [users, features]: the sum of a user's directions over pairs. squares [users]: the sum of their |x|^2.
    pairs [users]: the number of pairs.
    spread [features]: between-user variance of the mean directions. null [draws, features]: the same with
        pairs permuted over users.
    """

    group: str
    x: Floats
    squares: Floats
    pairs: Floats
    spread: Floats
    null: Floats


def group_directions(
    pairs: pd.DataFrame, x: Floats, group: str, draws: int, rng: np.random.Generator
) -> GroupDirections:
    """Sum the directions of a group's users.

    Args:
        pairs: user_id, group. x [pairs, features]: see `scaled_features`. draws: number of permutations.

    Raises:
        TableError: Fewer than two users have two pairs each.
    """
    inside = (pairs["group"] == group).to_numpy()
    user = user_codes(pairs.loc[inside, "user_id"], group, sort=True)
    order = np.argsort(user, kind="stable")
    own = x[inside][order]
    count = np.bincount(user)
    starts = np.cumsum(count) - count
    within, across = (count * (count - 1)).sum(), len(own) ** 2 - (count**2).sum()
    squares, total = (own**2).sum(axis=0), own.sum(axis=0)

    def spread(directions: Floats) -> Floats:
        """Return the mean product of two pairs of one user minus that of pairs of two users, by feature."""
        norms = (np.add.reduceat(directions, starts) ** 2).sum(axis=0)
        return np.asarray((norms - squares) / within - (total**2 - norms) / across)

    return GroupDirections(
        group,
        np.add.reduceat(own, starts),
        np.add.reduceat((own**2).sum(axis=1), starts),
        count.astype(float),
        spread(own),
        np.stack([spread(own[rng.permutation(len(own))]) for _ in range(draws)]),
    )


def _consistency_index(x: Floats, squares: Floats, pairs: Floats, weights: Floats) -> Floats:
    """Return the consistency [draws] with users taken as often as `weights` [draws, users] says.

    It is infinite where the users of a draw show no consistent direction, or where they are copies of a
    single user, which do not count as two users.
    """
    norms = (x**2).sum(axis=1)
    within = weights @ (norms - squares) / (weights @ (pairs * (pairs - 1)))
    twice = weights**2
    between = ((weights @ x) ** 2).sum(axis=1) - twice @ norms
    across = (weights @ pairs) ** 2 - twice @ pairs**2
    known = (within > 0) & (across > 0)
    return np.where(known, between / np.where(known, within * across, 1.0), np.inf)


def consistency(
    groups: Sequence[GroupDirections], level: float, draws: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Estimate the consistency of groups A and B, and their difference.

    Args:
        level: coverage of the intervals. draws: number of bootstrap draws of users, and of permutations.

    Returns:
        Rows of `stats.survey.heterogeneity.Heterogeneity.measures`.
    """
    rows: list[dict[str, Any]] = []
    estimates, resampled = [], []
    for directions in groups:
        users = len(directions.pairs)
        sums = directions.x, directions.squares, directions.pairs
        estimates.append(float(_consistency_index(*sums, np.ones((1, users)))[0]))
        weights = rng.multinomial(users, np.full(users, 1 / users), size=draws).astype(float)
        resampled.append(_consistency_index(*sums, weights))
        rows.append(
            {"group": directions.group, **_with_interval(estimates[-1], resampled[-1], level)}
            | {"p": _p(float(directions.spread.sum()), directions.null.sum(axis=1)), "users": users}
            | {"pairs": int(directions.pairs.sum())}
        )
    x = np.concatenate([directions.x for directions in groups])
    squares = np.concatenate([directions.squares for directions in groups])
    pairs = np.concatenate([directions.pairs for directions in groups])
    in_a = np.arange(len(pairs)) < len(groups[0].pairs)
    shuffled = rng.permuted(np.tile(in_a, (draws, 1)), axis=1).astype(float)
    observed = estimates[0] - estimates[1]
    shuffled_values = [_consistency_index(x, squares, pairs, weights) for weights in (shuffled, 1 - shuffled)]
    known = np.isfinite(shuffled_values[0]) & np.isfinite(shuffled_values[1])
    null = np.abs(shuffled_values[0][known] - shuffled_values[1][known])
    p = _p(abs(observed), null) if np.isfinite(observed) else None
    finite = np.isfinite(resampled[0]) & np.isfinite(resampled[1])
    change = np.where(finite, resampled[0], np.inf) - np.where(finite, resampled[1], 0.0)
    rows.append(
        {"group": "A - B", **_with_interval(observed, change, level)}
        | {"p": p, "users": len(pairs), "pairs": int(pairs.sum())}
    )
    return [{"measure": "consistency", **row} for row in rows]


def _with_interval(value: float, drawn: Floats, level: float) -> dict[str, Any]:
    """Return the value with percentiles of its draws; all three are missing if the value is not finite."""
    if not np.isfinite(value):
        return dict.fromkeys(("estimate", "low", "high"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return {"estimate": value, "low": float(low), "high": float(high)}


def by_feature(directions: GroupDirections, raw: pd.DataFrame) -> list[dict[str, Any]]:
    """Describe what a group prefers, feature by feature: rows of `Heterogeneity.features`.

    Args:
        raw: the group's features, one row per pair.
    """
    rows = []
    for k, (name, values) in enumerate(raw.items()):
        differs = values != 0
        rows.append(
            {
                "group": directions.group,
                "feature": name,
                "preferred": float((values[differs] > 0).mean()) if differs.any() else None,
                "differing": float(differs.mean()),
                "user_sd": float(np.sqrt(max(directions.spread[k], 0.0))),
                "p": _p(directions.spread[k], directions.null[:, k]),
            }
        )
    return rows


def _p(observed: float, null: Floats) -> float:
    """Return the share of permutations at least as extreme, with the observed one (Phipson & Smyth 2010)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))


def scaled_features(features: pd.DataFrame) -> Floats:
    """Return features in units of their root mean square, so that units do not matter.

    A feature that is always 0 stays 0.

    Raises:
        TableError: A feature has no number for some pair.
    """
    x = features.to_numpy(dtype=float)
    if np.isnan(x).any():
        name = features.columns[np.isnan(x).any(axis=0)][0]
        raise TableError(
            f"features: {name!r} has no number for some pairs; leave out the feature or the pairs"
        )
    size = np.sqrt((x**2).mean(axis=0))
    return np.asarray(x / np.where(size == 0, 1.0, size))
