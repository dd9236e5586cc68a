"""How much people of a group differ: in how strongly they discriminate, and in what they prefer.

Every pair has one rater, so agreement on an item cannot be measured. Two things can:

gap_icc: the between-user share of the variance of logit(gap / 100), rho = g / (1 + g) with g the ratio of the
    variances of a random intercept and of the residual (REML, statsmodels `MixedLM`). 0: users do not differ.
consistency: the mean inner product of two users' preferred directions over that of one user's with itself,
    x = features of the chosen minus of the rejected answer. 1: all want the same; 0: each their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import chi2
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

from stats.errors import TableError

Floats = npt.NDArray[np.float64]

GROUPS = ("A", "B")
LOG_RATIO = (-12.0, 6.0)  # of log g: rho from 0.000006 to 0.998, beyond which it is said to be 0 or 1
COLUMNS = ["measure", "group", "estimate", "low", "high", "p", "users", "pairs"]


@dataclass(frozen=True)
class Heterogeneity:
    """What `heterogeneity` finds.

    measures: measure (gap_icc, consistency), group (A, B, A - B), estimate, low, high (interval), p, users,
        pairs. p of a group: that its users differ (gap_icc: likelihood ratio against g = 0; consistency:
        pairs permuted over the group's users). p of A - B: likelihood ratio against a common g; users
        permuted over A and B. No row of gap_icc where no pair has a score. Consistency is missing where the
        users of a group show no direction of their own.
    features: group, feature, preferred (of the pairs that differ, the share whose chosen answer has more),
        differing (share of pairs), user_sd (spread of the users' mean directions with chance taken out, in
        units of the feature's root mean square; 0 where chance alone spreads as much), p (that it is more
        than chance: pairs permuted over users).
    """

    measures: pd.DataFrame
    features: pd.DataFrame


def heterogeneity(
    pairs: pd.DataFrame, features: pd.DataFrame, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> Heterogeneity:
    """Both measures of group A, of group B, and of A minus B.

    Args:
        pairs: user_id, group ("A" or "B"), score_gap (1 to 99; missing: counts for consistency only).
        features: the rows of `pairs`, one column a feature: of the chosen minus of the rejected answer.
        draws: bootstrap draws of users and permutations, each. level: of the intervals.

    Raises:
        TableError: a group with fewer than two users of two pairs each, or a feature with no number.
    """
    rng = np.random.default_rng(seed)
    scored = pairs[pairs["score_gap"].notna()]
    rows = [] if scored.empty else _gap_icc([scored[scored["group"] == group] for group in GROUPS], level)
    x = _scaled(features)
    directions = [_directions(pairs, x, group, draws, rng) for group in GROUPS]
    rows += _consistency(directions, level, draws, rng)
    by_feature = [
        row
        for one in directions
        for row in _by_feature(one, features[(pairs["group"] == one.group).to_numpy()])
    ]
    return Heterogeneity(
        pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[2:6], float)),
        pd.DataFrame(by_feature),
    )


# --- between-user share of the variance of gaps -----------------------------------------------------


def _gap_icc(groups: Sequence[pd.DataFrame], level: float) -> list[dict[str, Any]]:
    fits = [_Profile(rows, group) for rows, group in zip(groups, GROUPS, strict=True)]
    found = [fit.best() for fit in fits]
    rows: list[dict[str, Any]] = []
    for fit, group, (log_ratio, top) in zip(fits, GROUPS, found, strict=True):
        low, high = fit.interval(log_ratio, top, level)
        null = fit.loglike(LOG_RATIO[0])
        rows.append(
            {
                "measure": "gap_icc",
                "group": group,
                "estimate": float(expit(log_ratio)),
                "low": low,
                "high": high,
                # the null lies on the edge of the parameter space: half a chi-square (Self and Liang 1987)
                "p": float(chi2.sf(max(2 * (top - null), 0.0), 1) / 2),
                "users": fit.users,
                "pairs": fit.pairs,
            }
        )
    apart = sum(top for _, top in found)
    together = -minimize_scalar(
        lambda log_ratio: -sum(fit.loglike(log_ratio) for fit in fits), bounds=LOG_RATIO, method="bounded"
    ).fun
    a, b = rows
    rows.append(_difference(a, b) | {"p": float(chi2.sf(max(2 * (apart - together), 0.0), 1))})
    return rows


class _Profile:
    """REML likelihood of one group's logit gaps in log g, everything else maximised out."""

    def __init__(self, rows: pd.DataFrame, group: str):
        user = pd.factorize(rows["user_id"])[0]
        _enough(user, group)
        gaps = logit(rows["score_gap"].clip(1, 99).to_numpy(dtype=float) / 100)
        self._model = MixedLM(gaps, np.ones((len(gaps), 1)), user)
        self._model.fe_pen = self._model.cov_pen = None  # no penalties; only `fit` sets them
        self.users, self.pairs = int(user.max()) + 1, len(rows)

    def loglike(self, log_ratio: float) -> float:
        ratio = np.array([[np.exp(log_ratio)]])
        at = MixedLMParams.from_components(fe_params=np.zeros(1), cov_re=ratio)
        value: float = self._model.loglike(at, profile_fe=True)
        return value

    def best(self) -> tuple[float, float]:
        """log g at the top and the likelihood there."""
        found = minimize_scalar(lambda x: -self.loglike(x), bounds=LOG_RATIO, method="bounded")
        return float(found.x), -float(found.fun)

    def interval(self, log_ratio: float, top: float, level: float) -> tuple[float, float]:
        """rho where the likelihood has dropped by half the chi-square quantile (profile likelihood)."""
        drop = float(chi2.ppf(level, 1)) / 2

        def above(x: float) -> float:
            return self.loglike(x) - (top - drop)

        low, high = LOG_RATIO
        return (
            float(expit(brentq(above, low, log_ratio, xtol=1e-3))) if above(low) < 0 else 0.0,
            float(expit(brentq(above, log_ratio, high, xtol=1e-3))) if above(high) < 0 else 1.0,
        )


def _difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """A minus B with its interval from the two groups' own (MOVER, Zou and Donner 2008)."""
    (ea, eb), (la, lb), (ha, hb) = ((a[name], b[name]) for name in ("estimate", "low", "high"))
    return {
        "measure": a["measure"],
        "group": "A - B",
        "estimate": ea - eb,
        "low": ea - eb - float(np.hypot(ea - la, hb - eb)),
        "high": ea - eb + float(np.hypot(ha - ea, eb - lb)),
        "users": a["users"] + b["users"],
        "pairs": a["pairs"] + b["pairs"],
    }


# --- consistency of directions ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Directions:
    """A group's directions. Per user: x, the sum over pairs [users, features], squares, the sum of |x|^2, and
    pairs, their number [users]. spread: between-user variance of the mean directions [features]. null: the
    same with pairs permuted over users [draws, features]."""

    group: str
    x: Floats
    squares: Floats
    pairs: Floats
    spread: Floats
    null: Floats


def _directions(
    pairs: pd.DataFrame, x: Floats, group: str, draws: int, rng: np.random.Generator
) -> _Directions:
    inside = (pairs["group"] == group).to_numpy()
    user = pd.factorize(pairs.loc[inside, "user_id"], sort=True)[0]
    _enough(user, group)
    order = np.argsort(user, kind="stable")
    own = x[inside][order]
    count = np.bincount(user)
    starts = np.cumsum(count) - count
    within, across = (count * (count - 1)).sum(), len(own) ** 2 - (count**2).sum()
    squares, total = (own**2).sum(axis=0), own.sum(axis=0)

    def spread(of: Floats) -> Floats:
        """Mean product of two pairs of one user minus that of pairs of two users."""
        norms = (np.add.reduceat(of, starts) ** 2).sum(axis=0)
        return np.asarray((norms - squares) / within - (total**2 - norms) / across)

    return _Directions(
        group,
        np.add.reduceat(own, starts),
        np.add.reduceat((own**2).sum(axis=1), starts),
        count.astype(float),
        spread(own),
        np.stack([spread(own[rng.permutation(len(own))]) for _ in range(draws)]),
    )


def _index(x: Floats, squares: Floats, pairs: Floats, weights: Floats) -> Floats:
    """Consistency [draws] with users taken as often as `weights` [draws, users] say; infinite where a draw's
    users show no direction of their own, or are but one. Two copies of one user are no two users."""
    norms = (x**2).sum(axis=1)
    within = weights @ (norms - squares) / (weights @ (pairs * (pairs - 1)))
    twice = weights**2
    between = ((weights @ x) ** 2).sum(axis=1) - twice @ norms
    across = (weights @ pairs) ** 2 - twice @ pairs**2
    known = (within > 0) & (across > 0)
    return np.where(known, between / np.where(known, within * across, 1.0), np.inf)


def _consistency(
    groups: Sequence[_Directions], level: float, draws: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    estimates, resampled = [], []
    for one in groups:
        users = len(one.pairs)
        estimates.append(float(_index(one.x, one.squares, one.pairs, np.ones((1, users)))[0]))
        weights = rng.multinomial(users, np.full(users, 1 / users), size=draws).astype(float)
        resampled.append(_index(one.x, one.squares, one.pairs, weights))
        rows.append(
            {"group": one.group, **_estimate(estimates[-1], resampled[-1], level)}
            | {"p": _p(float(one.spread.sum()), one.null.sum(axis=1)), "users": users}
            | {"pairs": int(one.pairs.sum())}
        )
    x, squares, pairs = (
        np.concatenate([getattr(one, name) for one in groups]) for name in ("x", "squares", "pairs")
    )
    in_a = np.arange(len(pairs)) < len(groups[0].pairs)
    shuffled = rng.permuted(np.tile(in_a, (draws, 1)), axis=1).astype(float)
    observed = estimates[0] - estimates[1]
    both = [_index(x, squares, pairs, weights) for weights in (shuffled, 1 - shuffled)]
    known = np.isfinite(both[0]) & np.isfinite(both[1])
    p = _p(abs(observed), np.abs(both[0] - both[1])[known]) if np.isfinite(observed) else None
    finite = np.isfinite(resampled[0]) & np.isfinite(resampled[1])
    change = np.where(finite, resampled[0], np.inf) - np.where(finite, resampled[1], 0.0)
    rows.append(
        {"group": "A - B", **_estimate(observed, change, level)}
        | {"p": p, "users": len(pairs), "pairs": int(pairs.sum())}
    )
    return [{"measure": "consistency", **row} for row in rows]


def _estimate(value: float, drawn: Floats, level: float) -> dict[str, Any]:
    """The value with percentiles of its draws; missing where there is none."""
    if not np.isfinite(value):
        return dict.fromkeys(("estimate", "low", "high"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return {"estimate": value, "low": float(low), "high": float(high)}


def _by_feature(one: _Directions, raw: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for k, (name, values) in enumerate(raw.items()):
        differs = values != 0
        rows.append(
            {
                "group": one.group,
                "feature": name,
                "preferred": float((values[differs] > 0).mean()) if differs.any() else None,
                "differing": float(differs.mean()),
                "user_sd": float(np.sqrt(max(one.spread[k], 0.0))),
                "p": _p(one.spread[k], one.null[:, k]),
            }
        )
    return rows


def _p(observed: float, null: Floats) -> float:
    """Share of permutations at least as extreme, the observed one among them (Phipson and Smyth 2010)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))


def _scaled(features: pd.DataFrame) -> Floats:
    """Features in units of their root mean square, so that none counts for its unit; constant 0 stays 0."""
    x = features.to_numpy(dtype=float)
    if np.isnan(x).any():
        name = features.columns[np.isnan(x).any(axis=0)][0]
        raise TableError(f"features: {name!r} has no number for some pairs; leave it or them out")
    size = np.sqrt((x**2).mean(axis=0))
    return np.asarray(x / np.where(size == 0, 1.0, size))


def _enough(user: npt.NDArray[np.intp], group: str) -> None:
    if (np.bincount(user) >= 2).sum() < 2:
        raise TableError(
            f"group {group}: fewer than two users with two pairs each; how they differ is not known"
        )
