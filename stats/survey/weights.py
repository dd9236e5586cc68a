"""What explains a pair's WPO weight: source model, score gap, answer length, user.

The log weight is log w(x, chosen) + log w(x, rejected) under the reference model, before any training and
before the clamp at 1 (Zhou et al. 2024, arXiv 2406.11827). A share is the part of its variance that a linear
model explains. All intervals are percentile bootstraps over users (2.5 to 97.5 %), the unit that was sampled.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.arrays import Floats
from stats.errors import TableError

WEIGHT_COLUMNS = ["pair_id", "user_id", "source_model", "score_gap", "log_weight", "answer_tokens"]
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class WeightModel:
    """The linear model of log weights.

    matrix: one row per pair; an intercept first, then the columns of the terms. terms: term -> its columns.
    """

    matrix: Floats
    terms: dict[str, list[int]]


def explained(pairs: pd.DataFrame, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Estimate the share of the variance of log weight that each term explains.

    Args:
        pairs: pair_id, user_id, source_model, score_gap, log_weight (nats), answer_tokens (mean of the two
            answers). A term whose column has missing values (no source model, no score) is left out.
        draws, seed: number of bootstrap draws of users, and their random seed.

    Returns:
        term, alone, alone_low, alone_high (R^2 of the term by itself), beyond, beyond_low, beyond_high (R^2
        lost when the term is taken out of the full model). For `user` both are the share of the full model's
        residual variance that lies between users, times 1 - R^2 (one-way random effects, ANOVA estimator).

    Raises:
        TableError: A column is missing, there are fewer than two users, or the weights do not vary.
    """
    _check(pairs)
    y = pairs["log_weight"].to_numpy(dtype=float)
    users, count = pd.factorize(pairs["user_id"])[0], pairs["user_id"].nunique()
    model = _model(pairs)
    rng = np.random.default_rng(seed)
    weights = np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), size=draws)])
    r2 = _r2_by_terms(model, y, users, weights)
    full = r2[frozenset(model.terms)]
    rows = []
    for term in model.terms:
        alone, rest = r2[frozenset([term])], r2[frozenset(model.terms) - {term}]
        rows.append({"term": term, **_interval("alone", alone), **_interval("beyond", full - rest)})
    between = _between_users(model, y, users, weights) * (1 - full)
    rows.append({"term": "user", **_interval("alone", between), **_interval("beyond", between)})
    return pd.DataFrame(rows)


def by_source_model(pairs: pd.DataFrame, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Estimate the mean weight, min(exp(log_weight), 1), of each source model, largest first.

    Returns:
        source_model, pairs, mean, low, high (95 % interval over users).
    """
    with_model = pairs[pairs["source_model"].notna()]
    table = _means(with_model, "source_model", draws, seed)
    return table.sort_values("mean", ascending=False, ignore_index=True)


def by_score_gap(pairs: pd.DataFrame, bins: int = 10, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Estimate the mean weight in bins of score gap with equally many pairs.

    Returns:
        score_gap (mean), pairs, mean, low, high (95 % interval over users).
    """
    scored = pairs[pairs["score_gap"].notna()]
    bin_of = pd.qcut(scored["score_gap"], bins, duplicates="drop").cat.codes
    binned = scored.assign(bin=bin_of)
    table = _means(binned, "bin", draws, seed)
    middle = binned.groupby("bin")["score_gap"].mean()
    return table.assign(score_gap=table["bin"].map(middle)).drop(columns="bin").sort_values("score_gap")


def by_split(pairs: pd.DataFrame, groups: pd.DataFrame, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Estimate the mean weight of A and of B in every split.

    Args:
        pairs: pair_id, user_id, log_weight. groups: split, pair_id, group.

    Returns:
        split, group, pairs, mean, low, high (95 % interval over users).
    """
    frames = []
    for split, rows in groups.groupby("split", sort=False):
        table = _means(pairs.merge(rows[["pair_id", "group"]], on="pair_id"), "group", draws, seed)
        frames.append(table.assign(split=split))
    return pd.concat(frames, ignore_index=True)[["split", "group", "pairs", "mean", "low", "high"]]


def distribution(pairs: pd.DataFrame) -> pd.DataFrame:
    """Describe the weights in one row.

    Returns:
        pairs, mean, q05, median, q95, at_cap (share whose product is 1 or more before the clamp), effective
        (effective share of the pairs, (sum w)^2 / (n sum w^2)).
    """
    values = weight(pairs)
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    row = {"pairs": len(values), "mean": values.mean(), "q05": low, "median": middle, "q95": high}
    row["at_cap"] = float((pairs["log_weight"] >= 0).mean())
    row["effective"] = values.sum() ** 2 / (len(values) * (values**2).sum())
    return pd.DataFrame([row])


def weight(pairs: pd.DataFrame) -> Floats:
    """Return min(exp(log_weight), 1) of each pair."""
    clamped: Floats = np.exp(np.minimum(pairs["log_weight"].to_numpy(dtype=float), 0.0))
    return clamped


def _check(pairs: pd.DataFrame) -> None:
    missing = [column for column in WEIGHT_COLUMNS if column not in pairs]
    if missing:
        raise TableError(f"pairs: no column {missing[0]!r}; columns are {', '.join(WEIGHT_COLUMNS)}")
    values = pairs["log_weight"].to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise TableError(
            f"pairs: {pairs['pair_id'][~np.isfinite(values)].iloc[0]} has no number in log_weight"
        )
    if pairs["user_id"].nunique() < 2:
        raise TableError("pairs: all are from a single user; users are resampled, so at least two are needed")
    if np.ptp(values) == 0:
        raise TableError("pairs: every log_weight is the same; there is no variance to share out")


def _model(pairs: pd.DataFrame) -> WeightModel:
    columns: list[Floats] = [np.ones(len(pairs))]
    terms: dict[str, list[int]] = {}
    models = pairs["source_model"]
    if models.notna().all() and models.nunique() > 1:
        dummies = pd.get_dummies(models, drop_first=True, dtype=float).to_numpy()
        terms["source_model"] = list(range(1, 1 + dummies.shape[1]))
        columns += list(dummies.T)
    for name, values in (
        ("score_gap", pairs["score_gap"]),
        ("answer_tokens", np.log(pairs["answer_tokens"])),
    ):
        numbers = values.to_numpy(dtype=float)
        if np.isfinite(numbers).all() and np.ptp(numbers) > 0:
            centred = (numbers - numbers.mean()) / numbers.std()
            terms[name] = [len(columns), len(columns) + 1]  # a linear and a quadratic column
            columns += [centred, centred**2]
    return WeightModel(np.column_stack(columns), terms)


def _r2_by_terms(
    model: WeightModel, y: Floats, users: npt.NDArray[np.int64], weights: Floats
) -> dict[frozenset[str], Floats]:
    """Return R^2 of each term alone, of all, and of all but one, per draw of users [draws + 1]."""
    count, width = weights.shape[1], model.matrix.shape[1]
    joint = np.column_stack([model.matrix, y])
    order = np.argsort(users, kind="stable")
    starts = np.searchsorted(users[order], np.arange(count))
    squares = np.empty((count, (width + 1) ** 2))  # each user's cross products: all that a draw needs
    for user, rows in enumerate(np.split(order, starts[1:])):
        part = joint[rows]
        squares[user] = (part.T @ part).ravel()
    moments = (weights @ squares).reshape(len(weights), width + 1, width + 1)
    total = moments[:, -1, -1] - moments[:, 0, -1] ** 2 / moments[:, 0, 0]
    term_sets = {frozenset([term]) for term in model.terms} | {frozenset(model.terms)}
    term_sets |= {frozenset(model.terms) - {term} for term in model.terms}
    r2 = {}
    for terms in term_sets:
        kept = [0, *(column for term in model.terms if term in terms for column in model.terms[term])]
        xx, xy = moments[:, kept][:, :, kept], moments[:, kept, -1]
        inverse = np.linalg.pinv(xx, hermitian=True)  # a drawn sample may lack a source model
        beta = (inverse @ xy[:, :, None])[:, :, 0]
        residual = moments[:, -1, -1] - (beta * xy).sum(axis=1)
        r2[terms] = 1 - residual / total
    return r2


def _between_users(model: WeightModel, y: Floats, users: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Return the share of the residual variance between users (unbalanced ANOVA estimator) per draw."""
    residual = y - model.matrix @ np.linalg.lstsq(model.matrix, y, rcond=None)[0]
    n = np.bincount(users).astype(float)
    sums, squares = np.bincount(users, residual), np.bincount(users, residual**2)
    pairs, people = weights @ n, weights.sum(axis=1)
    within = (weights @ (squares - sums**2 / n)) / (pairs - people)
    between = (weights @ (sums**2 / n) - (weights @ sums) ** 2 / pairs) / (people - 1)
    size = (pairs - (weights @ n**2) / pairs) / (people - 1)
    component = np.maximum(0.0, (between - within) / size)
    share: Floats = component / (component + within)
    return share


def _means(pairs: pd.DataFrame, key: str, draws: int, seed: int) -> pd.DataFrame:
    """Return key, pairs, mean, low, high: the mean weight by `key` with an interval over users."""
    users, people = pd.factorize(pairs["user_id"])
    places, labels = pd.factorize(pairs[key], sort=True)
    shape = (len(people), len(labels))
    cell = np.ravel_multi_index((users, places), shape)
    sums = np.bincount(cell, weight(pairs), minlength=np.prod(shape)).reshape(shape)
    counts = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
    drawn = np.random.default_rng(seed).multinomial(
        len(people), np.full(len(people), 1 / len(people)), size=draws
    )
    number = (drawn @ counts).astype(float)
    number[number == 0] = np.nan  # a label that no drawn user has
    low, high = np.nanpercentile((drawn @ sums) / number, PERCENTILES, axis=0)
    total = counts.sum(axis=0)
    return pd.DataFrame(
        {key: labels, "pairs": total, "mean": sums.sum(axis=0) / total, "low": low, "high": high}
    )


def _interval(name: str, values: Floats) -> dict[str, float]:
    """Return the estimate (first value) and the percentile interval of the draws (the others)."""
    low, high = np.percentile(values[1:], PERCENTILES)
    return {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
