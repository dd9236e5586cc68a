"""CR2 and its degrees of freedom equal the published matrix formulas, written out row by row."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.special import expit

from stats.errors import TableError
from stats.survey.cumulative_logit import CumulativeLogit, fit_counts
from stats.survey.small_clusters import ClusterVariance, cluster_variance

CUTS, COLUMNS = 2, np.array([2, 3, 4])  # three categories; the coefficients follow the two thresholds


def probabilities(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    cumulative = [0.0, *(expit(theta - x @ parameters[CUTS:]) for theta in parameters[:CUTS]), 1.0]
    return np.diff(cumulative)


class Rows:
    """Pearson residuals and their slopes, one row per pair and category, with derivatives by differences."""

    def __init__(self, fit: CumulativeLogit, y: np.ndarray, x: np.ndarray, person: np.ndarray) -> None:
        slopes, residuals = [], []
        for category, user in zip(y, person, strict=True):
            fitted = probabilities(fit.parameters, x[user])
            moved = [
                probabilities(fit.parameters + step, x[user]) - probabilities(fit.parameters - step, x[user])
                for step in 1e-5 * np.eye(len(fit.parameters))
            ]
            slopes.append(np.transpose(moved) / 2e-5 / np.sqrt(fitted)[:, None])
            residuals.append((np.eye(3)[category] - fitted) / np.sqrt(fitted))
        self.slopes, self.residuals = np.concatenate(slopes), np.concatenate(residuals)
        self.owner = np.repeat(person, 3)
        self.bread = np.linalg.inv(self.slopes.T @ self.slopes)
        self.remainder = np.eye(len(self.owner)) - self.slopes @ self.bread @ self.slopes.T

    def projections(self) -> list[np.ndarray]:
        """Return (I - H)[:, g] A_g X_g M for each cluster g, with A_g = (I - H_gg)^(-1/2)."""
        found = []
        for cluster in np.unique(self.owner):
            rows = self.owner == cluster
            adjustment = np.linalg.inv(np.real(sqrtm(self.remainder[np.ix_(rows, rows)])))
            found.append(self.remainder[:, rows] @ adjustment @ self.slopes[rows] @ self.bread)
        return found


@pytest.fixture(scope="module")
def small() -> tuple[ClusterVariance, CumulativeLogit, Rows]:
    """Fourteen users with 1 to 6 pairs each; two of them have the level of the last column."""
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.normal(size=14), np.arange(14) % 3 == 0, np.arange(14) < 2]).astype(float)
    person = np.repeat(np.arange(14), rng.integers(1, 7, 14))
    y = rng.integers(0, 3, len(person))
    counts = np.zeros((14, 3))
    np.add.at(counts, (person, y), 1)
    fit = fit_counts(counts, x)
    assert fit.converged
    variance = cluster_variance(fit.scores, fit.information, range(14), list("abcde"))
    return variance, fit, Rows(fit, y, x, person)


def test_the_variance_is_cr2(small: tuple[ClusterVariance, CumulativeLogit, Rows]) -> None:
    variance, _, rows = small
    corrected = [projection.T @ rows.residuals for projection in rows.projections()]
    expected = sum(np.outer(part, part) for part in corrected)
    assert variance.variance == pytest.approx(expected, rel=1e-4)


def test_one_coefficient_has_the_degrees_of_freedom_of_bell_and_mccaffrey(
    small: tuple[ClusterVariance, CumulativeLogit, Rows],
) -> None:
    variance, _, rows = small
    for column in COLUMNS:
        own = np.array([projection[:, column] for projection in rows.projections()])
        omega = own @ own.T
        expected = np.trace(omega) ** 2 / (omega**2).sum()
        assert variance.degrees_of_freedom(np.array([column])) == pytest.approx(expected, rel=1e-4)


def test_several_coefficients_match_the_total_variance_of_simulated_residuals(
    small: tuple[ClusterVariance, CumulativeLogit, Rows],
) -> None:
    variance, _, rows = small
    unit = np.linalg.inv(np.linalg.cholesky(rows.bread[np.ix_(COLUMNS, COLUMNS)]))
    drawn = np.random.default_rng(0).normal(size=(20_000, len(rows.owner)))
    parts = [drawn @ projection[:, COLUMNS] @ unit.T for projection in rows.projections()]
    matrices = sum(part[:, :, None] * part[:, None, :] for part in parts)
    assert matrices.mean(axis=0) == pytest.approx(np.eye(3), abs=0.05)  # CR2 is unbiased
    expected = 3 * 4 / matrices.var(axis=0).sum()
    assert variance.degrees_of_freedom(COLUMNS) == pytest.approx(expected, rel=0.05)


def test_one_coefficient_is_a_t_test(small: tuple[ClusterVariance, CumulativeLogit, Rows]) -> None:
    variance, fit, _ = small
    column = np.array([2])
    test = variance.wald(fit.parameters[column], column)
    assert test.statistic == pytest.approx(fit.parameters[2] ** 2 / variance.variance[2, 2])
    assert test.df == pytest.approx(variance.degrees_of_freedom(column))


def test_a_coefficient_that_one_cluster_decides_is_refused() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=20), np.arange(20) == 4]).astype(float)
    fit = fit_counts(rng.integers(1, 5, (20, 3)).astype(float), x)
    names = ["cut", "cut", "age", "owner"]
    with pytest.raises(TableError, match="owner: 'u4' alone decides"):
        cluster_variance(fit.scores, fit.information, [f"u{number}" for number in range(20)], names)
