"""Standard errors and tests that hold when few clusters decide a coefficient.

Clustered errors are too small for a column that few clusters own, because the fit follows them. CR2 (Bell and
McCaffrey 2002) enlarges each cluster's residuals so that the variance is unbiased if the working model
holds, and the test refers to the degrees of freedom that the variance then has: Satterthwaite's for one
coefficient, Hotelling's T^2 with matched total variance for several (HTZ; Pustejovsky and Tipton 2018).

For a likelihood, residuals enter through the scores. With cluster g's score s and information J, M the
inverse of the summed information, M = L L' and K = L' J L, the correction (I - H)^(-1/2) of residuals
becomes (I - K)^(-1/2) of L' s: a matrix of parameters x parameters per cluster, whatever its number of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.stats import f as f_distribution

from stats.arrays import Floats
from stats.errors import TableError

OWNED = 1e-8  # a cluster that leaves less than this share of a parameter's information to others owns it


@dataclass(frozen=True)
class WaldTest:
    """A joint test of several coefficients: F = `statistic` with `terms` and `df` degrees of freedom."""

    statistic: float
    terms: int
    df: float
    p: float


@dataclass(frozen=True)
class ClusterVariance:
    """The CR2 variance of a fit's parameters, and what its degrees of freedom are computed from.

    variance: [parameters, parameters]. root: L, [parameters, parameters]. share: K of each cluster, its share
    of the information; pulled: (I - K)^(-1/2) K; both [clusters, parameters, parameters].
    """

    variance: Floats
    root: Floats
    share: Floats
    pulled: Floats

    def degrees_of_freedom(self, columns: npt.NDArray[np.intp]) -> float:
        """Return eta, the degrees of freedom of the Wishart nearest to the variance of `columns`.

        With D the variance in units of its expectation, eta = q (q + 1) / sum of Var(D_st) under the working
        model. One column: Satterthwaite's 2 / Var(D).
        """
        count, chosen = len(columns), self.root[columns]
        unit = solve_triangular(np.linalg.cholesky(chosen @ chosen.T), chosen, lower=True)
        pulled = unit @ self.pulled  # corrected residuals of clusters g, h covary by -pulled_g pulled_h'
        own = unit @ self.share @ unit.T
        flat = pulled.reshape(len(pulled), -1)
        pairs = (flat.T @ flat).reshape(2 * pulled.shape[1:])
        total = (pairs * (pairs + pairs.transpose(2, 1, 0, 3))).sum()
        with_itself = pulled @ pulled.transpose(0, 2, 1)
        total += _squares(own) - _squares(with_itself)
        return float(count * (count + 1) / total)

    def wald(self, estimates: Floats, columns: npt.NDArray[np.intp]) -> WaldTest:
        """Test that the `estimates` of `columns` are all zero; p is missing if too few clusters do."""
        count, eta = len(columns), self.degrees_of_freedom(columns)
        df = eta - count + 1
        if df <= 0:
            return WaldTest(np.nan, count, df, np.nan)
        quadratic = estimates @ np.linalg.solve(self.variance[np.ix_(columns, columns)], estimates)
        statistic = float(quadratic * df / (eta * count))
        return WaldTest(statistic, count, df, float(f_distribution.sf(statistic, count, df)))


def cluster_variance(
    scores: Floats, information: Floats, clusters: Sequence[object], parameters: Sequence[str]
) -> ClusterVariance:
    """Return the CR2 variance of maximum-likelihood estimates.

    Args:
        scores: of each cluster at the estimates, [clusters, parameters].
        information: expected information of each cluster, [clusters, parameters, parameters].
        clusters, parameters: their names, for messages.

    Raises:
        TableError: One cluster alone decides a parameter, whose variance is then unknown.
    """
    root = np.linalg.cholesky(np.linalg.inv(information.sum(axis=0)))
    share = root.T @ information @ root
    values, vectors = np.linalg.eigh(share)
    if values.max() > 1 - OWNED:
        owner = int(np.argmax(values[:, -1]))
        parameter = parameters[int(np.argmax(np.abs(root @ vectors[owner, :, -1])))]
        raise TableError(f"{parameter}: {clusters[owner]!r} alone decides its coefficient; leave it out")
    enlarging = (vectors / np.sqrt(1 - values)[:, None, :]) @ vectors.transpose(0, 2, 1)
    corrected = np.einsum("cpq,cq->cp", enlarging, scores @ root) @ root.T
    return ClusterVariance(corrected.T @ corrected, root, share, enlarging @ share)


def _squares(covariances: Floats) -> float:
    """Return the summed variances of all products u_s u_t of each cluster's Gaussian u, by `covariances`."""
    traces = np.trace(covariances, axis1=1, axis2=2)
    return float((traces**2).sum() + np.einsum("cst,cts->", covariances, covariances))
