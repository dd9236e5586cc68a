"""Fit a cumulative logit to counts by user: logit P(Y <= j) = theta_j - x beta.

Traits belong to users, so all pairs of a user share one x, and the likelihood needs only how many of the
user's pairs fall into each category. statsmodels' `OrderedModel` takes one row per pair, without weights, and
offers neither scores nor information by cluster; the tests compare the estimates with it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from stats.arrays import Floats

MOST_STEPS = 100
SMALL_STEP = 1e-10  # squared length of a step, in standard errors, at which the search has arrived
SEPARATION = 10.0  # log odds between the ends of a column; a larger coefficient has diverged


@dataclass(frozen=True)
class CumulativeLogit:
    """A maximum-likelihood fit; parameters are the J - 1 thresholds, then the coefficients.

    parameters: [parameters]. scores: derivative of each user's log-likelihood, [users, parameters].
    information: each user's expected (Fisher) information, [users, parameters, parameters].
    converged: whether the search arrived. diverged: which coefficients separate the categories, [columns].
    """

    parameters: Floats
    scores: Floats
    information: Floats
    converged: bool
    diverged: npt.NDArray[np.bool_]


def fit_counts(counts: Floats, matrix: Floats) -> CumulativeLogit:
    """Maximise the likelihood, which is concave (Pratt 1981), by Fisher scoring with halved steps.

    Args:
        counts: number of pairs in each category, [users, J]; every category has a pair.
        matrix: traits in units in which a step of 1 is ordinary, without a constant, [users, columns].
    """
    cumulative = counts.sum(axis=0).cumsum()[:-1] / counts.sum()
    parameters = np.concatenate([logit(cumulative), np.zeros(matrix.shape[1])])
    cuts, spans = len(cumulative), np.ptp(matrix, axis=0)
    converged = False
    for _ in range(MOST_STEPS):
        scores, information = _derivatives(parameters, counts, matrix)
        step = np.linalg.lstsq(information.sum(axis=0), scores.sum(axis=0), rcond=None)[0]
        converged = bool(step @ scores.sum(axis=0) < SMALL_STEP)
        diverged = np.abs(parameters[cuts:]) * spans > SEPARATION
        if converged or diverged.any():
            break
        parameters = _uphill(parameters, step, counts, matrix)
    return CumulativeLogit(parameters, scores, information, converged, diverged)


def _uphill(parameters: Floats, step: Floats, counts: Floats, matrix: Floats) -> Floats:
    """Take a step, halved until the log-likelihood does not fall and the thresholds ascend."""
    before = _log_likelihood(parameters, counts, matrix)
    for halvings in range(30):
        moved: Floats = parameters + step / 2**halvings
        if _log_likelihood(moved, counts, matrix) >= before:
            break
    return moved


def _log_likelihood(parameters: Floats, counts: Floats, matrix: Floats) -> float:
    thresholds = parameters[: counts.shape[1] - 1]
    if (np.diff(thresholds) <= 0).any():
        return -np.inf
    probabilities = np.diff(_cumulative(parameters, counts, matrix), axis=1, prepend=0.0, append=1.0)
    return float((counts * np.log(probabilities.clip(np.finfo(float).tiny))).sum())


def _cumulative(parameters: Floats, counts: Floats, matrix: Floats) -> Floats:
    """Return P(Y <= j) of all categories but the last, [users, J - 1]."""
    cuts = counts.shape[1] - 1
    values: Floats = expit(parameters[:cuts] - (matrix @ parameters[cuts:])[:, None])
    return values


def _derivatives(parameters: Floats, counts: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    """Return each user's score [users, parameters] and information [users, parameters, parameters]."""
    cumulative = _cumulative(parameters, counts, matrix)
    density = cumulative * (1 - cumulative)
    users, cuts = cumulative.shape
    slopes = np.zeros((users, cuts + 2, cuts + matrix.shape[1]))  # of P(Y <= j), j = 0 to J
    slopes[:, np.arange(1, cuts + 1), np.arange(cuts)] = density
    slopes[:, 1:-1, cuts:] = -density[:, :, None] * matrix[:, None, :]
    slopes = np.diff(slopes, axis=1)  # of P(Y = j)
    probabilities = np.diff(cumulative, axis=1, prepend=0.0, append=1.0).clip(np.finfo(float).tiny)
    scores = np.einsum("uj,ujp->up", counts / probabilities, slopes)
    weighted = slopes * (counts.sum(axis=1, keepdims=True) / probabilities)[:, :, None]
    return scores, np.einsum("ujp,ujq->upq", weighted, slopes, optimize=True)
