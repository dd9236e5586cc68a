"""Which traits go with how strongly people discriminate: the survey models that predict a study's splits.

Ordered logit (v3): logit P(Y <= j) = theta_j - X beta, where Y is the quartile of a pair's score gap and X
the traits of its user. Binary logit "W2" (v2): logit P(gap > cut) = alpha + X beta. statsmodels fits both,
with errors clustered by user: one person gives many pairs, and treating them as independent rejects true
nulls far too often. The coefficients are population-averaged: where users also differ for reasons outside X,
they lie nearer to zero than a person's own (Zeger, Liang and Albert 1988).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.stats.multitest import multipletests

from stats.errors import TableError
from stats.survey.cuts import CUTS, W2_CUT

SEPARATION = 10.0  # log odds between the ends of a column; a larger coefficient has diverged


@dataclass(frozen=True)
class SurveyFit:
    """A fitted survey model.

    table: trait, level (missing for a numeric trait), reference, beta (log odds; of a numeric trait, log odds
        per unit), se (clustered by user), z, p, low, high (95 % interval of beta), holm, bh (p adjusted over
        the terms).
    pairs, users: numbers that the model was fitted on. left_out: number of pairs that have no score, or
        whose user has no value for some trait.
    """

    model: str
    table: pd.DataFrame
    pairs: int
    users: int
    left_out: int


def gap_quartile(gaps: "pd.Series[float]", cuts: tuple[float, ...] = CUTS) -> npt.NDArray[np.int64]:
    """Return 1 plus the number of cut points that a gap exceeds."""
    return np.searchsorted(np.array(cuts), gaps.to_numpy(dtype=float), side="left").astype(np.int64) + 1


def ordered_logit(
    pairs: pd.DataFrame, users: pd.DataFrame, traits: Mapping[str, str | None], cuts: tuple[float, ...] = CUTS
) -> SurveyFit:
    """Fit an ordered logit of the gap quartile on traits, with errors clustered by user.

    Args:
        pairs: user_id, score_gap (0 to 100, chosen minus rejected); pairs without a score are left out.
        users: user_id and one column per trait.
        traits: trait -> reference level, or None for a numeric trait.
        cuts: largest gaps of all categories but the last.

    Returns:
        A fit whose `table` has one row per trait level (or numeric trait): trait, level, reference, beta (log
        odds), se, z, p, low, high (95 % interval of beta), holm, bh (adjusted p values); with the numbers
        `pairs`, `users` and `left_out`.

    Raises:
        TableError: A trait or level is unknown, a column is constant or follows from the others, a quartile
            has no pairs, a trait separates the gaps, or the fit did not converge.

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
    """
    design = _design(pairs, users, traits)
    quartile = gap_quartile(design.rows["score_gap"], cuts)
    for number in range(1, len(cuts) + 2):
        if not (quartile == number).any():
            raise TableError(
                f"score_gap: no pair in category {number} of cuts {cuts}; choose other cut points"
            )
    model = OrderedModel(quartile - 1, design.scaled, distr="logit", hasconst=False)
    fit = model.fit(method="bfgs", maxiter=500, disp=False, **design.clusters)
    return _fit("ordered logit", fit, design)


def binary_logit(
    pairs: pd.DataFrame, users: pd.DataFrame, traits: Mapping[str, str | None], cut: float = W2_CUT
) -> SurveyFit:
    """Fit W2, a binary logit of gap > cut on traits.

    The other arguments, the result and the errors are those of `ordered_logit`.
    """
    design = _design(pairs, users, traits)
    large = (design.rows["score_gap"] > cut).to_numpy(dtype=float)
    if large.min() == large.max():
        raise TableError(f"score_gap: every pair is on one side of {cut:g}; choose another cut")
    try:
        model = sm.Logit(large, sm.add_constant(design.scaled))
        fit = model.fit(disp=False, maxiter=100, **design.clusters)
    except (sm.tools.sm_exceptions.PerfectSeparationError, np.linalg.LinAlgError) as error:
        raise TableError(f"binary logit: a trait separates large gaps from small ones ({error})") from error
    return _fit("binary logit", fit, design, skip=1)


def predicted_splits(fit: SurveyFit, alpha: float) -> pd.DataFrame:
    """Derive splits from the traits with p < alpha.

    A numeric trait is split at its median, A above: a positive beta predicts larger gaps there, "A > B".
    Levels of a categorical trait whose coefficient is above the mean go to A, the others to B (the
    reference's coefficient is 0); this split predicts "A > B" by construction.

    Returns:
        trait, p (smallest of its terms), beta, predicted, a, b (levels; missing for a numeric trait).
    """
    rows: list[dict[str, object]] = []
    for trait, terms in fit.table.groupby("trait", sort=False):
        if terms["p"].min() >= alpha:
            continue
        strongest = terms.sort_values("p").iloc[0]
        row: dict[str, object] = {"trait": trait, "p": strongest["p"], "beta": strongest["beta"]}
        if terms["level"].isna().all():
            rows.append(
                row | {"predicted": "A > B" if strongest["beta"] > 0 else "A < B", "a": None, "b": None}
            )
            continue
        level = {
            str(terms["reference"].iloc[0]): 0.0,
            **dict(zip(terms["level"], terms["beta"], strict=True)),
        }
        middle = float(np.mean(list(level.values())))
        sides = {
            side: [name for name, beta in level.items() if (beta > middle) == (side == "a")] for side in "ab"
        }
        rows.append(row | {"predicted": "A > B", **sides})
    return pd.DataFrame(rows, columns=["trait", "p", "beta", "predicted", "a", "b"])


@dataclass(frozen=True)
class _SurveyDesign:
    """Pairs with all their traits; `matrix` has one column per (trait, level, reference) of `terms`."""

    rows: pd.DataFrame
    matrix: npt.NDArray[np.float64]
    terms: list[tuple[str, str | None, str | None]]
    left_out: int

    @property
    def scaled(self) -> npt.NDArray[np.float64]:
        """Columns in units of their sd; a slider of 0 to 100 beside 0/1 columns would slow the search."""
        scaled: npt.NDArray[np.float64] = self.matrix / self.matrix.std(axis=0)
        return scaled

    @property
    def clusters(self) -> dict[str, Any]:
        return {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(self.rows["user_id"])[0]}}


def _design(pairs: pd.DataFrame, users: pd.DataFrame, traits: Mapping[str, str | None]) -> _SurveyDesign:
    for trait, reference in traits.items():
        if trait not in users:
            raise TableError(f"traits: no column {trait!r}; columns are {', '.join(map(str, users.columns))}")
        if reference is not None and reference not in set(users[trait]):
            known_levels = ", ".join(sorted(map(str, users[trait].dropna().unique())))
            raise TableError(
                f"traits.{trait}: no user has the reference {reference!r}; levels are {known_levels}"
            )
    complete = users.dropna(subset=list(traits))
    rows = pairs[pairs["score_gap"].notna()].merge(complete, on="user_id", validate="many_to_one")
    terms: list[tuple[str, str | None, str | None]] = []
    columns: list[npt.NDArray[np.float64]] = []
    for trait, reference in traits.items():
        levels: list[str | None] = [None]
        if reference is not None:
            levels = [level for level in sorted(set(rows[trait])) if level != reference]
        for level in levels:
            values = rows[trait] if level is None else (rows[trait] == level)
            terms.append((trait, level, reference))
            columns.append(np.asarray(values, dtype=np.float64))
            if np.ptp(columns[-1]) == 0:
                raise TableError(f"traits.{trait}: the same for every pair; leave it out")
    matrix = np.column_stack(columns)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise TableError("traits: one column follows from the others; leave an overlapping trait out")
    return _SurveyDesign(rows, matrix, terms, len(pairs) - len(rows))


def _fit(name: str, fit: Any, design: _SurveyDesign, skip: int = 0) -> SurveyFit:
    """Build the coefficient table in the units of the traits; refuse a fit that did not converge."""
    if not fit.mle_retvals["converged"]:
        raise TableError(f"{name}: the fit did not converge; leave out traits or merge rare levels")
    terms = slice(skip, skip + len(design.terms))
    sd = design.matrix.std(axis=0)
    beta, se, p = (np.asarray(values)[terms] for values in (fit.params, fit.bse, fit.pvalues))
    beta, se, interval = beta / sd, se / sd, np.asarray(fit.conf_int())[terms] / sd[:, None]
    diverged = ~np.isfinite(se) | (np.abs(beta) * np.ptp(design.matrix, axis=0) > SEPARATION)
    if diverged.any():
        trait, level, _ = design.terms[int(np.argmax(diverged))]
        place = f"traits.{trait}" + (f" ({level})" if level is not None else "")
        raise TableError(f"{name}: {place} separates the gaps; merge levels or leave it out")
    table = pd.DataFrame(design.terms, columns=["trait", "level", "reference"]).assign(
        beta=beta,
        se=se,
        z=beta / se,
        p=p,
        low=interval[:, 0],
        high=interval[:, 1],
        holm=multipletests(p, method="holm")[1],
        bh=multipletests(p, method="fdr_bh")[1],
    )
    rows = design.rows
    return SurveyFit(name, table, len(rows), rows["user_id"].nunique(), design.left_out)
