"""Which traits go with how strongly people discriminate: the survey models that predict a study's splits.

Ordered logit (v3): logit P(Y <= j) = theta_j - X beta, where Y is the quartile of a pair's score gap and X
the traits of its user. Binary logit "W2" (v2): the same with one cut. One person gives many pairs, and
treating them as independent rejects true nulls far too often, so errors are clustered by user, with
corrections that hold for levels that few users have (`stats.survey.small_clusters`). The coefficients are
population-averaged: where users also differ for reasons outside X, they lie nearer to zero than a person's
own (Zeger, Liang and Albert 1988).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import false_discovery_control
from scipy.stats import t as t_distribution

from stats.errors import TableError
from stats.multiplicity import holm
from stats.survey.cumulative_logit import CumulativeLogit, fit_counts
from stats.survey.defaults import CUTS, MIN_USERS, W2_CUT
from stats.survey.design import SurveyDesign, survey_design
from stats.survey.small_clusters import ClusterVariance, cluster_variance

COVERED = 0.95  # of the interval of a coefficient


@dataclass(frozen=True)
class SurveyFit:
    """A fitted survey model.

    traits: one row per trait, with the one test of all its coefficients: trait, terms (number of
        coefficients), f, df (of the denominator), p, p_holm and p_bh (corrected over the traits).
    table: one row per coefficient: trait, level (missing for a numeric trait), reference, users (number with
        this level), beta (log odds; of a numeric trait, log odds per unit), se (CR2, clustered by user), df
        (Satterthwaite), low, high (95 % interval of beta).
    rare: trait, level, users: the levels that are left out, with their users.
    pairs, users: numbers that the model was fitted on. left_out: number of pairs that were not used: they
        have no score, or their user lacks a trait or has a rare level.
    """

    model: str
    traits: pd.DataFrame
    table: pd.DataFrame
    rare: pd.DataFrame
    pairs: int
    users: int
    left_out: int


def gap_quartile(gaps: "pd.Series[float]", cuts: tuple[float, ...] = CUTS) -> npt.NDArray[np.int64]:
    """Return 1 plus the number of cut points that a gap exceeds."""
    return np.searchsorted(np.array(cuts), gaps.to_numpy(dtype=float), side="left").astype(np.int64) + 1


def ordered_logit(
    pairs: pd.DataFrame,
    users: pd.DataFrame,
    traits: Mapping[str, str | None],
    cuts: tuple[float, ...] = CUTS,
    min_users: int = MIN_USERS,
) -> SurveyFit:
    """Fit an ordered logit of the gap quartile on traits, with errors clustered by user.

    Args:
        pairs: user_id, score_gap (0 to 100, chosen minus rejected); pairs without a score are left out.
        users: user_id and one column per trait.
        traits: trait -> reference level, or None for a numeric trait.
        cuts: largest gaps of all categories but the last, ascending.
        min_users: a level that fewer users have is left out together with them.

    Returns:
        A fit with one joint test per trait in `traits` (trait, terms, f, df, p, p_holm, p_bh) and one row per
        coefficient in `table` (trait, level, reference, users, beta, se, df, low, high); `rare` names the
        levels that are left out.

    Raises:
        TableError: A column, user, trait or level is unknown, a numeric trait has text, the cuts do not
            ascend, a trait has too few users beside its most common value, traits cannot be told apart, a
            category has no pair, a trait separates the gaps, or the fit did not converge.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> import stats
        >>> rng = np.random.default_rng(0)
        >>> users = pd.DataFrame({"user_id": range(200), "age": ["young", "old"] * 100})
        >>> pairs = pd.DataFrame({"user_id": np.repeat(users["user_id"], 5)})
        >>> pairs["score_gap"] = rng.exponential(np.where(pairs["user_id"] % 2, 20, 12))
        >>> fit = stats.ordered_logit(pairs, users, {"age": "old"})
        >>> print(fit.table[["trait", "level", "beta", "low", "high"]].round(1))
          trait  level  beta  low  high
        0   age  young  -0.9 -1.1  -0.7
        >>> bool(fit.traits["p_holm"].item() < 0.05)
        True
    """
    return _fitted("ordered logit", pairs, users, traits, cuts, min_users)


def binary_logit(
    pairs: pd.DataFrame,
    users: pd.DataFrame,
    traits: Mapping[str, str | None],
    cut: float = W2_CUT,
    min_users: int = MIN_USERS,
) -> SurveyFit:
    """Fit W2, a binary logit of gap > cut on traits: an ordered logit with two categories.

    The other arguments, the result and the errors are those of `ordered_logit`.
    """
    return _fitted("binary logit", pairs, users, traits, (cut,), min_users)


def _fitted(
    name: str,
    pairs: pd.DataFrame,
    users: pd.DataFrame,
    traits: Mapping[str, str | None],
    cuts: tuple[float, ...],
    min_users: int,
) -> SurveyFit:
    if not cuts or (np.diff(cuts) <= 0).any():
        raise TableError(f"cuts: {', '.join(f'{cut:g}' for cut in cuts)} do not ascend; sort them, each once")
    design = survey_design(pairs, users, traits, min_users)
    category = gap_quartile(design.rows["score_gap"], cuts) - 1
    counts = np.zeros((len(design.users), len(cuts) + 1))
    np.add.at(counts, (design.rows["user"].to_numpy(), category), 1)
    for number, size in enumerate(counts.sum(axis=0), start=1):
        if size == 0:
            raise TableError(
                f"score_gap: no pair in category {number} of cuts {cuts}; choose other cut points"
            )
    scale = design.matrix.std(axis=0)
    fit = fit_counts(counts, (design.matrix - design.matrix.mean(axis=0)) / scale)
    places = [_place(term.trait, term.level) for term in design.terms.itertuples()]
    if fit.diverged.any():
        place = places[int(np.argmax(fit.diverged))]
        raise TableError(f"{name}: {place} separates the gaps; merge levels or leave it out")
    if not fit.converged:
        raise TableError(f"{name}: the fit did not converge; leave out traits or merge rare levels")
    names = [*(f"cuts[{number}]" for number in range(len(cuts))), *places]
    variance = cluster_variance(fit.scores, fit.information, design.users, names)
    return SurveyFit(
        name,
        _joint_tests(design, fit, variance, len(cuts)),
        _coefficients(design, fit, variance, len(cuts)),
        design.rare,
        len(design.rows),
        len(design.users),
        design.left_out,
    )


def _place(trait: object, level: Any) -> str:
    return f"traits.{trait}" + ("" if pd.isna(level) else f" ({level})")


def _coefficients(
    design: SurveyDesign, fit: CumulativeLogit, variance: ClusterVariance, cuts: int
) -> pd.DataFrame:
    """Return one row per coefficient, in the units of its trait."""
    scale = design.matrix.std(axis=0)
    columns = np.arange(cuts, len(fit.parameters))
    beta = fit.parameters[columns] / scale
    se = np.sqrt(np.diag(variance.variance)[columns]) / scale
    df = np.array([variance.degrees_of_freedom(np.array([column])) for column in columns])
    reach = t_distribution.ppf((1 + COVERED) / 2, df) * se
    return design.terms.assign(beta=beta, se=se, df=df, low=beta - reach, high=beta + reach)


def _joint_tests(
    design: SurveyDesign, fit: CumulativeLogit, variance: ClusterVariance, cuts: int
) -> pd.DataFrame:
    """Return one row per trait: the joint test of its coefficients."""
    rows = []
    for trait, terms in design.terms.groupby("trait", sort=False):
        columns = cuts + terms.index.to_numpy()
        test = variance.wald(fit.parameters[columns], columns)
        if np.isnan(test.p):
            raise TableError(
                f"traits.{trait}: too few users for {test.terms} levels beside the reference; merge levels "
                "or leave it out"
            )
        rows.append({"trait": trait, "terms": test.terms, "f": test.statistic, "df": test.df, "p": test.p})
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].to_numpy()), p_bh=false_discovery_control(table["p"]))
