"""Measure whether the survey models recover the planted truth of generated twins.

    python -m bench.survey_models [--users 1400] [--twins 600] [--mixed 300] [--surveys 1000]

Every twin is a new draw of people and ratings (numbers only, no text). The ordered logit is fitted with the
planted traits and with traits that have no effect, with errors clustered by user and with naive ones. The
heterogeneity measures (on `--mixed` twins) compare people who are very familiar with language models with the
others. The selection of splits is tried on `--surveys` simulated surveys per setting, with traits that have
rare levels, five levels or a slider (`bench.survey_selection`). A number of 0 leaves a part out. It prints
Markdown tables for docs/data.md and docs/statistics.md.
"""

import argparse
import gc
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from statsmodels.miscmodels.ordinal_model import OrderedModel

from bench.survey_selection import ALPHA, SurveyWorld, selection_rates
from stats.page.markdown import table
from stats.survey.heterogeneity import heterogeneity
from stats.survey.ordered_logit import gap_quartile, ordered_logit
from training.data import people, planted
from training.data.phrases import KINDS
from training.data.ratings import SENTENCES_PER_ANSWER, raters, ratings

NULL_TRAITS = (
    "male",
    "student",
    "prefs_values",
    "prefs_creativity",
    "prefs_diversity",
    "prefs_personalisation",
)

PLANTED_TRAITS = {"five": 0.5, "slider": 0.2}
SELECTION_WORLDS = (
    SurveyWorld(100),
    SurveyWorld(300),
    SurveyWorld(1400),
    SurveyWorld(300, user_sd=1.2, heavy=True),
    SurveyWorld(1400, user_sd=1.2, heavy=True),
    SurveyWorld(300, effects=PLANTED_TRAITS),
    SurveyWorld(1400, effects=PLANTED_TRAITS),
)


def twin(users: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return one twin's survey, pairs (user_id, score_gap) and their differences in kinds of sentences."""
    rng = np.random.default_rng([seed, users])
    survey = people.survey(users, rng)
    rated = ratings(raters(survey, 1.0, rng), rng)
    later = rated[rated["turn"] >= 1]
    first, second = (later.iloc[k::2].reset_index(drop=True) for k in (0, 1))
    better = np.sign(first["score"] - second["score"])
    kind_columns = [f"kind_{k}" for k in range(SENTENCES_PER_ANSWER)]
    kinds = pd.DataFrame(
        {
            name: better * ((first[kind_columns] == k).sum(axis=1) - (second[kind_columns] == k).sum(axis=1))
            for k, name in enumerate(KINDS)
        }
    )
    pairs = pd.DataFrame(
        {
            "user_id": survey["user_id"].to_numpy()[first["user"]],
            "score_gap": (first["score"] - second["score"]).abs().astype(float),
        }
    )
    return survey, pairs[better != 0].reset_index(drop=True), kinds[better != 0].reset_index(drop=True)


def traits(survey: pd.DataFrame) -> pd.DataFrame:
    """Return user_id, the planted traits as columns in which the truth is linear, and null traits."""
    planted_columns = {effect.trait: effect.column(survey) for effect in planted.PLANTED_EFFECTS}
    nulls = {
        "male": survey["gender"] == "Male",
        "student": survey["employment_status"] == "Student",
        **{name: survey[name] for name in NULL_TRAITS if name.startswith("prefs_")},
    }
    columns = {name: np.asarray(values, dtype=float) for name, values in {**planted_columns, **nulls}.items()}
    return pd.DataFrame({"user_id": survey["user_id"], **columns})


def logit_of(users: int, seed: int) -> pd.DataFrame:
    """Return one twin's coefficients: trait, own, population (planted), beta, covered and rejected."""
    survey, pairs, _ = twin(users, seed)
    columns = traits(survey)
    names = [name for name in columns if name != "user_id"]
    fit = ordered_logit(pairs, columns, dict.fromkeys(names)).table.set_index("trait")
    rows = pairs.merge(columns, on="user_id")
    scale = rows[names].std(ddof=0)
    model = OrderedModel(
        gap_quartile(rows["score_gap"]) - 1, (rows[names] / scale).to_numpy(), distr="logit", hasconst=False
    )
    naive_fit = model.fit(method="bfgs", maxiter=500, disp=False)
    naive = np.asarray(naive_fit.conf_int())[: len(names)] / scale.to_numpy()[:, None]
    own = {effect.trait: effect.log_odds for effect in planted.PLANTED_EFFECTS}
    population = dict(zip(own, planted.population_averaged(survey, 1.0), strict=True))
    coefficients = pd.DataFrame({"trait": names})
    coefficients["own"] = [own.get(name, 0.0) for name in names]
    coefficients["population"] = [population.get(name, 0.0) if own.get(name) else 0.0 for name in names]
    coefficients["beta"] = fit.loc[names, "beta"].to_numpy()
    for kind, low, high in (
        ("clustered", fit.loc[names, "low"].to_numpy(), fit.loc[names, "high"].to_numpy()),
        ("naive", naive[:, 0], naive[:, 1]),
    ):
        coefficients[f"covered {kind}"] = (low <= coefficients["population"]) & (
            coefficients["population"] <= high
        )
        coefficients[f"rejected {kind}"] = (low > 0) | (high < 0)
    return coefficients


def measures_of(users: int, seed: int) -> pd.DataFrame:
    """Return one twin's heterogeneity: split, measure, group, planted, estimate, covered, p < 0.05."""
    survey, pairs, kinds = twin(users, seed)
    level = pairs["user_id"].map(survey.set_index("user_id")["lm_familiarity"])
    truth = planted.truth(survey, 1.0)
    consistency = truth.tastes.set_index("lm_familiarity")["consistency"]
    halves = np.random.default_rng(seed).permutation(users) % 2 == 0
    random = pairs["user_id"].map(dict(zip(survey["user_id"], halves, strict=True)))
    planted_values = {
        ("gap_icc", "A"): truth.gap_icc,
        ("gap_icc", "B"): truth.gap_icc,
        ("consistency", "A"): consistency["Very familiar"],
        ("consistency", "B"): consistency["Somewhat familiar"],
    }
    planted_values |= {
        (measure, "A - B"): planted_values[measure, "A"] - planted_values[measure, "B"]
        for measure in ("gap_icc", "consistency")
    }
    rows = []
    for split, in_a, truths in (
        ("familiarity", level == "Very familiar", planted_values),
        ("random halves", random, {key: 0.0 for key in planted_values if key[1] == "A - B"}),
    ):
        grouped = pairs.assign(group=np.where(in_a, "A", "B"))
        for row in heterogeneity(grouped, kinds, draws=400, seed=seed).measures.itertuples():
            value = truths.get((str(row.measure), str(row.group)))
            if value is not None:
                identity = {"split": split, "measure": row.measure, "group": row.group, "planted": value}
                covered = row.low <= value <= row.high
                rows.append(
                    identity | {"estimate": row.estimate, "covered": covered, "p < 0.05": row.p < 0.05}
                )
    return pd.DataFrame(rows)


def summary(results: pd.DataFrame, keys: list[str], estimate: str) -> pd.DataFrame:
    """Return means over twins, with the Monte Carlo error of the mean estimate."""
    grouped = results.groupby(keys, sort=False)
    means = grouped.mean()
    means.insert(list(means.columns).index(estimate) + 1, "+-", grouped[estimate].sem())
    return means.astype(float).round(4).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1400, help="people per twin")
    parser.add_argument("--twins", type=int, default=600, help="twins for the ordered logit")
    parser.add_argument("--mixed", type=int, default=300, help="twins for the heterogeneity measures")
    parser.add_argument("--surveys", type=int, default=1000, help="simulated surveys per setting")
    parser.add_argument("--processes", type=int, default=2, help="processes at the same time")
    args = parser.parse_args()
    # Holm's correction in statsmodels collects garbage; frozen, what is imported is not searched each time.
    with ProcessPoolExecutor(args.processes, initializer=gc.freeze) as pool:
        if args.surveys:
            print(f"Selection of splits at {ALPHA:g}, {args.surveys} simulated surveys per setting.\n")
            print(table(selection_rates(SELECTION_WORLDS, args.surveys, pool).round(3)), flush=True)
        if args.twins:
            print_logit(args.users, args.twins, pool)
        if args.mixed:
            print_heterogeneity(args.users, args.mixed, pool)


def print_logit(users: int, twins: int, pool: Executor) -> None:
    """Print how the ordered logit recovers planted effects."""
    logit = pd.concat(pool.map(partial(logit_of, users), range(twins), chunksize=5))
    print(f"\nOrdered logit, {twins} generated twins of {users} people.\n")
    print(table(summary(logit, ["trait"], "beta")))
    nulls = logit[logit["own"] == 0]
    shares = nulls[["rejected clustered", "rejected naive"]].mean()
    print(
        f"\nTraits without effect, together: {shares.round(4).to_dict()} of {len(nulls)} tests.", flush=True
    )


def print_heterogeneity(users: int, twins: int, pool: Executor) -> None:
    """Print how the heterogeneity measures recover what was planted."""
    measures = pd.concat(pool.map(partial(measures_of, users), range(twins), chunksize=5))
    print(f"\nHeterogeneity, {twins} generated twins of {users} people.\n")
    print(table(summary(measures, ["split", "measure", "group"], "estimate")))


if __name__ == "__main__":
    main()
