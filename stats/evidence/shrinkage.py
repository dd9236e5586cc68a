"""Effects of several splits, pulled towards their common mean by as much as chance explains.

Of several noisy effects, the one that looks largest is, on average, too large, and a split that was chosen
because its reference looked bad looks better the next time (regression to the mean). In the normal
hierarchical model (Rubin 1981, J. Educ. Stat. 6; Gelman et al., Bayesian Data Analysis, ch. 5)

    estimate_i ~ N(effect_i, se_i^2),    effect_i ~ N(mean, tau^2),    mean and tau uniform,

an effect's posterior is a mixture over tau of normal distributions, computed here on a grid of tau.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from stats.arrays import Floats

FEWEST = 3  # effects; a uniform tau has no proper posterior with fewer
GRID_POINTS = 400
LARGEST_TAU = 10.0  # times the spread of the estimates and their standard errors


@dataclass(frozen=True)
class Shrunken:
    """Posterior means and intervals of effects [k], in their unit."""

    value: Floats
    low: Floats
    high: Floats


def shrink(estimates: npt.ArrayLike, standard_errors: npt.ArrayLike, level: float) -> Shrunken | None:
    """Return the effects' posterior means and central intervals; None for fewer than three effects.

    Args:
        estimates, standard_errors: of the effects [k], in one unit. A standard error that is known with few
            degrees of freedom is to be widened first.
        level: the intervals' probability.
    """
    y, se = np.asarray(estimates, dtype=float), np.asarray(standard_errors, dtype=float)
    if len(y) < FEWEST:
        return None
    largest = LARGEST_TAU * (np.ptp(y) + se.max())
    taus = np.concatenate([[0.0], np.geomspace(largest / 1e5, largest, GRID_POINTS - 1)])
    total = se**2 + taus[:, None] ** 2  # [taus, k]
    weight = 1 / total
    mean = (weight * y).sum(axis=1) / weight.sum(axis=1)
    log_density = -0.5 * (
        np.log(weight.sum(axis=1)) + (np.log(total) + (y - mean[:, None]) ** 2 * weight).sum(axis=1)
    )
    density = np.exp(log_density - log_density.max()) * np.gradient(taus)
    share = (density / density.sum())[:, None]
    kept = taus[:, None] ** 2 / total  # how much of its own estimate an effect keeps
    centre = mean[:, None] + kept * (y - mean[:, None])
    variance = kept * se**2 + (1 - kept) ** 2 / weight.sum(axis=1)[:, None]
    ends = [_quantiles(share, centre, np.sqrt(variance), tail) for tail in (0.5 - level / 2, 0.5 + level / 2)]
    return Shrunken((share * centre).sum(axis=0), *ends)


def _quantiles(share: Floats, centre: Floats, sd: Floats, tail: float) -> Floats:
    """Return the quantiles [k] of mixtures of normal distributions [taus, k]."""
    quantiles = []
    for effect in range(centre.shape[1]):
        means, sds, shares = centre[:, effect], sd[:, effect], share[:, 0]
        low, high = float((means - 12 * sds).min()), float((means + 12 * sds).max())
        quantiles.append(
            brentq(lambda x, m=means, s=sds, w=shares: float(w @ ndtr((x - m) / s)) - tail, low, high)
        )
    return np.array(quantiles)
