"""A second opinion on a contrast: users random, seeds fixed, by restricted maximum likelihood.

Crossed random effects in statsmodels' MixedLM fit another model than the one meant (its variance components
are nested in groups), so the seeds are fixed here and the interval is about new users under these seeds.
"""

import warnings
from math import inf, sqrt

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

from stats.evidence.anova import Estimate
from stats.evidence.crossed import Crossed, Floats

MOST_USERS = 400  # of a group: statsmodels loops over users, and more of them take minutes
CAPTURES = "new users under these same seeds; every user counts once (mixed model)"


def mixed_estimate(table: Crossed) -> Estimate:
    """Contrast with a random intercept a user and a fixed effect a seed, group by group.

    A user's mean outcome is one observation a seed, so a user with many pairs counts as much as one with few:
    the estimate differs from the pair-weighted one where such users differ. Groups of more than 400 users are
    left out, which the note says.
    """
    value = sum(float((group.sums / group.pairs).mean()) for group in table.groups)
    variance = 0.0
    for group in table.groups:
        means = group.sums / group.pairs
        seeds, users = means.shape
        if seeds < 2 or users < 3:
            return Estimate(value, None, inf, CAPTURES, "too few seeds or users for a mixed model")
        if users > MOST_USERS:
            return Estimate(value, None, inf, CAPTURES, f"left out above {MOST_USERS} users in a group")
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
    """Of the mean of means [seeds, users]; None where the fit fails, as it may when users hardly differ.

    The optimiser starts at the moment estimates, without which it needs a hundred times as long.
    """
    seeds, users = means.shape
    model = MixedLM(means.T.ravel(), design, groups=np.repeat(np.arange(users), seeds))
    residual = float((means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()).var())
    ratio = max(means.mean(axis=0).var() / max(residual, 1e-12) - 1 / seeds, 0.01)
    start = MixedLMParams.from_components(fe_params=np.zeros(seeds), cov_re=np.array([[ratio]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of zero is on the boundary, which is no fault
        for method in ("bfgs", "powell"):  # powell needs no gradient, so it finds a boundary
            try:
                fit = model.fit(start_params=start, reml=True, method=method)
            except np.linalg.LinAlgError:
                continue
            error = float(fit.bse_fe.iloc[0])
            if fit.converged and np.isfinite(error):
                return error
    return None
