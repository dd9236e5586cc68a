"""How much the users of a group differ in how strongly they discriminate: `gap_icc`.

It is the between-user share of the variance of logit(gap / 100), rho = g / (1 + g), where g is the ratio of
the variances of a random intercept and of the residual, estimated by REML. At 0, users do not differ. With
one random intercept the likelihood has a closed form in each user's mean and number of pairs (Searle, Casella
and McCulloch 1992, Variance Components, chapter 3); statsmodels' `MixedLM` gives the same, 600 times slower.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import chi2

from stats.survey.group_users import user_codes

LOG_RATIO = (-12.0, 6.0)  # range of log g: rho from 0.000006 to 0.998; beyond it rho counts as 0 or 1


def gap_icc(groups: Mapping[str, pd.DataFrame], level: float) -> list[dict[str, Any]]:
    """Estimate the between-user share in groups A and B, and their difference.

    Args:
        groups: "A" and "B" -> pairs with user_id and score_gap (1 to 99). level: coverage of the
            intervals.

    Returns:
        Rows of `stats.survey.heterogeneity.Heterogeneity.measures`.

    Raises:
        TableError: A group has fewer than two users with two pairs each.
    """
    fits = {group: _Profile(pairs, group) for group, pairs in groups.items()}
    best = {group: fit.best() for group, fit in fits.items()}
    rows: list[dict[str, Any]] = []
    for group, fit in fits.items():
        log_ratio, top = best[group]
        low, high = fit.interval(log_ratio, top, level)
        null = fit.loglike(LOG_RATIO[0])
        rows.append(
            {
                "measure": "gap_icc",
                "group": group,
                "estimate": float(expit(log_ratio)),
                "low": low,
                "high": high,
                # The null lies on the edge of the parameter space: half a chi-square (Self and Liang 1987).
                "p": float(chi2.sf(max(2 * (top - null), 0.0), 1) / 2),
                "users": fit.users,
                "pairs": fit.pairs,
            }
        )
    apart = sum(top for _, top in best.values())
    together = -minimize_scalar(
        lambda log_ratio: -sum(fit.loglike(log_ratio) for fit in fits.values()),
        bounds=LOG_RATIO,
        method="bounded",
    ).fun
    a, b = rows
    rows.append(_difference(a, b) | {"p": float(chi2.sf(max(2 * (apart - together), 0.0), 1))})
    return rows


class _Profile:
    """The REML likelihood of one group's logit gaps as a function of log g, profiled over everything else."""

    def __init__(self, pairs: pd.DataFrame, group: str):
        user = user_codes(pairs["user_id"], group)
        gaps = logit(pairs["score_gap"].clip(1, 99).to_numpy(dtype=float) / 100)
        self._sizes = np.bincount(user)
        self._means = np.bincount(user, gaps) / self._sizes
        self._within = float(((gaps - self._means[user]) ** 2).sum())
        self.users, self.pairs = len(self._sizes), len(pairs)

    def loglike(self, log_ratio: float) -> float:
        """Return the restricted log likelihood at log g, up to a constant and profiled over the rest."""
        inflation = 1 + self._sizes * np.exp(log_ratio)  # of a user's total, by what its pairs share
        weights = self._sizes / inflation
        mean = float(weights @ self._means) / weights.sum()
        residual = self._within + float(weights @ (self._means - mean) ** 2)
        determinants = np.log(inflation).sum() + np.log(weights.sum())
        return -float(determinants + (self.pairs - 1) * np.log(residual)) / 2

    def best(self) -> tuple[float, float]:
        """Return log g at the maximum, and the log likelihood there."""
        maximum = minimize_scalar(lambda x: -self.loglike(x), bounds=LOG_RATIO, method="bounded")
        return float(maximum.x), -float(maximum.fun)

    def interval(self, log_ratio: float, top: float, level: float) -> tuple[float, float]:
        """Return the two rho at which the log likelihood has dropped by half the chi-square quantile."""
        drop = float(chi2.ppf(level, 1)) / 2

        def above(x: float) -> float:
            return self.loglike(x) - (top - drop)

        low, high = LOG_RATIO
        return (
            float(expit(brentq(above, low, log_ratio, xtol=1e-3))) if above(low) < 0 else 0.0,
            float(expit(brentq(above, log_ratio, high, xtol=1e-3))) if above(high) < 0 else 1.0,
        )


def _difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Return A minus B, with an interval combined from those of the groups (MOVER, Zou and Donner 2008)."""
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
