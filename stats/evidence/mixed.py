"""A second opinion on a contrast: users random, seeds fixed, by restricted maximum likelihood.

statsmodels' MixedLM nests its variance components in groups, so it cannot fit crossed random effects of seeds
and users. Here the seeds are fixed, and the interval is about new users under these seeds.
"""

import warnings
from math import inf, sqrt

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

from stats.arrays import Floats
from stats.evidence.anova import Estimate
from stats.evidence.crossed import CrossedTable

# Largest number of users per group: statsmodels loops over users, and more of them take minutes.
MIXED_MODEL_USERS = 400
CAPTURES = "new users under these same seeds; every user counts once (mixed model)"


def mixed_estimate(table: CrossedTable) -> Estimate:
    """Estimate a contrast with a random intercept per user and a fixed effect per seed, group by group.

    A user's mean outcome is one observation per seed, so a user with many pairs counts as much as one with
    few: the estimate differs from the pair-weighted one where such users differ. With more than 400 users in
    a group there is no interval; the note says so.
    """
    value = sum(float((group.sums / group.pairs).mean()) for group in table.groups)
    variance = 0.0
    for group in table.groups:
        means = group.sums / group.pairs
        seeds, users = means.shape
        if seeds < 2 or users < 3:
            return Estimate(value, None, inf, CAPTURES, "too few seeds or users for a mixed model")
        if users > MIXED_MODEL_USERS:
            return Estimate(
                value, None, inf, CAPTURES, f"left out above {MIXED_MODEL_USERS} users in a group"
            )
        if np.ptp(means - means.mean(axis=1, keepdims=True)) < 1e-12:
            continue  # users do not differ: no variance to add
        design = pd.DataFrame(np.tile(np.eye(seeds) - 1 / seeds, (users, 1))[:, 1:])
        design.insert(0, "mean", 1.0)
        error = _standard_error(means, design)
        if error is None:
            return Estimate(value, None, inf, CAPTURES, "the mixed model did not converge")
        variance += error**2
    if variance == 0:
        return Estimate(value, None, inf, CAPTURES, "no outcome varies: no interval")
    return Estimate(value, sqrt(variance), inf, CAPTURES)


def _standard_error(means: Floats, design: pd.DataFrame) -> float | None:
    """Return the standard error of the mean of means [seeds, users].

    It is None where the fit fails, as it may when users hardly differ. The optimiser starts at the moment
    estimates; otherwise it needs a hundred times as long.
    """
    seeds, users = means.shape
    model = MixedLM(means.T.ravel(), design, groups=np.repeat(np.arange(users), seeds))
    residual = float((means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()).var())
    ratio = max(means.mean(axis=0).var() / max(residual, 1e-12) - 1 / seeds, 0.01)
    start = MixedLMParams.from_components(fe_params=np.zeros(seeds), cov_re=np.array([[ratio]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of zero is on the boundary, which is not an error
        for method in ("bfgs", "powell"):  # powell needs no gradient, so it can reach the boundary
            try:
                fit = model.fit(start_params=start, reml=True, method=method)
            except np.linalg.LinAlgError:
                continue
            error = float(fit.bse_fe.iloc[0])
            if fit.converged and np.isfinite(error):
                return error
    return None
