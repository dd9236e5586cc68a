"""A second opinion on a contrast: users random, seeds fixed, by restricted maximum likelihood.

Crossed random effects in statsmodels' MixedLM fit another model than the one meant (its variance components
are nested in groups), so the seeds are fixed here and the interval is about new users under these seeds.
"""

import warnings
from math import inf, sqrt

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from stats.anova import Estimate
from stats.crossed import Crossed, Floats

CAPTURES = "new users under these same seeds; every user counts once (mixed model)"


def mixed_estimate(table: Crossed) -> Estimate:
    """Contrast with a random intercept a user and a fixed effect a seed, group by group.

    A user's mean outcome is one observation a seed, so a user with many pairs counts as much as one with few:
    the estimate differs from the pair-weighted one where such users differ.
    """
    value = sum(float((group.sums / group.pairs).mean()) for group in table.groups)
    variance = 0.0
    for group in table.groups:
        means = group.sums / group.pairs
        seeds, users = means.shape
        if seeds < 2 or users < 3:
            return Estimate(value, None, inf, CAPTURES, "too few seeds or users for a mixed model")
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
    """Of the mean of means [seeds, users]; None where the fit fails, as it may when users hardly differ."""
    seeds, users = means.shape
    model = MixedLM(means.T.ravel(), design, groups=np.repeat(np.arange(users), seeds))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of zero is on the boundary, which is no fault
        try:
            fit = model.fit(reml=True, method="powell")
        except np.linalg.LinAlgError:
            return None
    error = float(fit.bse_fe.iloc[0])
    return error if fit.converged and np.isfinite(error) else None
