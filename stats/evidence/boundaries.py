"""Nominal levels: how small a p value must be at each look so that all looks together err at a stated level.

A t test looks at seed counts n = start..most. Without differences between users its two-sided p value is,
under the null hypothesis, a Markov chain: with u[n] the cosine between the diffs by seed and (1, .., 1), a
monotone function of t, and phi the angle between the next diff and those before it,

    u[n+1] = (sqrt(n) u[n] cos phi + sin phi) / sqrt(n + 1),    sqrt(n) tan phi ~ t(n), independent of u[n]

(the direction of a normal sample is uniform on the sphere). So the probability of crossing is a recursion
over looks, as in Armitage, McPherson & Rowe (1969) for normal sums, and exact for the sequential t test, as
in Jennison & Turnbull (1991). Normal boundaries with the t test's p values are not exact: with few seeds,
where a small spread makes t large, successive t values are far less alike than normal ones, and the error is
exceeded.

Every seed scores the same users, which makes successive estimates more alike, so exact levels would be
larger. The levels here are valid for any variance of users (docs/seeds.md has the simulations).

Error is spent as in Lan & DeMets (1983): whatever the data, the share `spent` has been spent by the n-th of
`most` seeds.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, stdtr, stdtrit
from scipy.stats import norm

from stats.arrays import Floats

Spending = tuple[float, float]  # (a, b) of the Beta distribution in `spent`
P_VALUE_BINS = 220  # bins of p values, narrow where the values are small
# Levels between which the sequential p value is interpolated; smaller ones are not distinguished.
LADDER_ALPHAS = np.concatenate([np.geomspace(1e-5, 0.1, 50), np.linspace(0.12, 0.97, 16)])
P_VALUE_EDGES = np.concatenate([[0.0], 2 * norm.sf(np.linspace(7.0, 0.0, P_VALUE_BINS))])


def spent(share: npt.ArrayLike, spending: Spending) -> Floats:
    """Return the share of the error that may be spent by a share of the seeds.

    It is the distribution function of Beta(a, b). Beta(rho, 1) is share^rho (Kim & DeMets 1987). With b > 1
    less is left for late looks, which few splits reach.
    """
    return np.asarray(betainc(*spending, share))


@lru_cache(maxsize=64)
def nominal(start: int, most: int, spending: Spending, alpha: float) -> Floats:
    """Return nominal levels [looks]: reject at a look whose two-sided p is at most its level.

    Args:
        start, most: number of seeds at the first and at the last look.
        alpha: the error that all looks together spend.
    """
    return _levels(start, most, spending, alpha)


def _levels(start: int, most: int, spending: Spending, alpha: float) -> Floats:
    looks = np.arange(start, most + 1)
    budget = np.diff(alpha * spent(looks / most, spending), prepend=0.0)
    mass, levels = np.diff(P_VALUE_EDGES), []
    for n, share in zip(looks, budget, strict=True):
        if n > start:
            mass = mass @ _kernel(int(n) - 1)
        below = np.concatenate([[0.0], np.cumsum(mass)])
        levels.append(float(np.interp(share, below, P_VALUE_EDGES)))
        mass = mass * np.clip((P_VALUE_EDGES[1:] - levels[-1]) / np.diff(P_VALUE_EDGES), 0, 1)
    return np.array(levels)


@lru_cache(maxsize=16)
def _ladder(start: int, most: int, spending: Spending) -> Floats:
    """Return nominal levels [LADDER_ALPHAS, looks].

    They grow with alpha, as every increment of the spending does.
    """
    return np.stack([_levels(start, most, spending, alpha) for alpha in LADDER_ALPHAS])


@lru_cache(maxsize=64)
def _ladder_t_squares(start: int, most: int, spending: Spending, users: int) -> tuple[Floats, Floats]:
    """Return the squared t quantiles of `reach` at the ladder's levels, for seeds and for users."""
    tails = _ladder(start, most, spending) / 2
    return stdtrit(np.arange(start, most + 1) - 1, tails) ** 2, stdtrit(users - 1, tails) ** 2


def reach(
    levels: npt.ArrayLike, seeds: npt.ArrayLike, of_seeds: Floats, of_users: Floats, users: npt.ArrayLike
) -> Floats:
    """Return half the width of an interval at 1 - level, where the variance has two estimated parts.

    Half the width is

        sqrt(t(1 - level / 2, seeds - 1)^2 of_seeds + t(1 - level / 2, users - 1)^2 of_users).

    The interval has at least its nominal coverage, whatever the parts (Banerjee 1960: the distribution
    function of chi-square with one degree of freedom is concave). An interval with Satterthwaite's degrees of
    freedom does not, with few seeds and far out in the tails: a spread of seeds that is small by chance
    leaves a small variance and the users' many degrees of freedom.

    Args:
        levels, seeds, users: levels, and numbers of seeds and of users, which broadcast.
        of_seeds, of_users: the parts of the variance.
    """
    tail = np.asarray(levels) / 2
    by_seeds, by_users = stdtrit(np.asarray(seeds) - 1, tail), stdtrit(np.asarray(users) - 1, tail)
    return np.asarray(np.sqrt(by_seeds**2 * of_seeds + by_users**2 * of_users))


def sequential_p(
    value: Floats, of_seeds: Floats, of_users: Floats, users: int, start: int, most: int, spending: Spending
) -> Floats:
    """Return, for each look, the smallest level at which some look so far rejects (Liu & Anderson 2008).

    Args:
        value, of_seeds, of_users: estimates and the parts of their variances at the looks so far; of_users is
            NaN where a look has no variance, and such a look rejects nothing.
        users: number of users of the smaller group.
        start, most: number of seeds at the first and at the last look.

    Returns:
        One level per look, never rising. Under the null hypothesis, the probability that it is at most alpha
        is at most alpha, at any look, however chosen.
    """
    looks = len(value)
    by_seeds, by_users = _ladder_t_squares(start, most, spending, users)
    halves = np.sqrt(by_seeds[:, :looks] * of_seeds + by_users[:, :looks] * of_users)
    log_alphas, levels = np.log(LADDER_ALPHAS), np.ones(looks)
    for look in np.flatnonzero(~np.isnan(of_users)):
        narrow_to_wide = halves[::-1, look]
        if abs(value[look]) >= narrow_to_wide[0]:
            log_value = np.log(abs(value[look]))
            levels[look] = np.exp(np.interp(log_value, np.log(narrow_to_wide), log_alphas[::-1]))
    return np.minimum.accumulate(levels)


@lru_cache(maxsize=64)
def _kernel(n: int) -> Floats:
    """Return the probabilities [bins, bins] that the p value moves between bins from n to n + 1 seeds."""
    t = -stdtrit(n - 1, (P_VALUE_EDGES[:-1] + P_VALUE_EDGES[1:]) / 4)  # half of a bin's middle per side
    ahead = np.sqrt(n) * t / np.hypot(t, np.sqrt(n - 1))  # sqrt(n) u
    length, turn = np.hypot(1, ahead)[:, None], np.arctan(ahead)[:, None]
    t = -stdtrit(n, np.maximum(P_VALUE_EDGES, 1e-40) / 2)
    u = t / np.hypot(t, np.sqrt(n))

    def below(u: Floats) -> Floats:
        """Return P(u[n+1] <= u), where u[n+1] = length * sin(phi + turn) / sqrt(n + 1) has two branches."""
        sine = u * np.sqrt(n + 1) / length
        angle = np.arcsin(np.clip(sine, -1, 1))
        inside = _angles(angle - turn, n) + 1 - _angles(np.pi - angle - turn, n)
        return np.where(sine >= 1, 1.0, np.where(sine <= -1, 0.0, inside))

    at_least = 1 - (below(u) - below(-u))
    steps = np.maximum(np.diff(at_least, axis=1), 0)
    return np.asarray(steps / steps.sum(axis=1, keepdims=True))


def _angles(phi: Floats, n: int) -> Floats:
    """Return the distribution function of phi."""
    inner = np.clip(phi, -np.pi / 2, np.pi / 2)
    return np.asarray(stdtr(n, np.sqrt(n) * np.tan(inner)))
