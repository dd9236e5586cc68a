"""Are the survey models right about twins whose truth is planted?

    python -m bench.survey_models [--users 1400] [--twins 600] [--mixed 300]

Every twin is a new draw of people and ratings (numbers only, no text). The ordered logit is fitted with the
planted traits beside traits that do nothing, with errors clustered by user and with naive ones; the
heterogeneity measures (of `--mixed` twins) compare the very familiar with the others. Prints Markdown tables
for docs/data.md.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from statsmodels.miscmodels.ordinal_model import OrderedModel

from stats.page.markdown import table
from stats.survey.heterogeneity import heterogeneity
from stats.survey.ordered_logit import gap_quartile, ordered_logit
from training.data import people, planted
from training.data.phrases import KINDS
from training.data.ratings import SENTENCES_PER_ANSWER, raters, ratings

NULLS = ("male", "student", "prefs_values", "prefs_creativity", "prefs_diversity", "prefs_personalisation")


def twin(users: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Survey, pairs (user_id, score_gap) and their differences in kinds of sentences, of one twin."""
    rng = np.random.default_rng([seed, users])
    survey = people.survey(users, rng)
    rated = ratings(raters(survey, 1.0, rng), rng)
    later = rated[rated["turn"] >= 1]
    first, second = (later.iloc[k::2].reset_index(drop=True) for k in (0, 1))
    better = np.sign(first["score"] - second["score"])
    said = [f"kind_{k}" for k in range(SENTENCES_PER_ANSWER)]
    kinds = pd.DataFrame(
        {
            name: better * ((first[said] == k).sum(axis=1) - (second[said] == k).sum(axis=1))
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
    """The planted traits as columns that are linear in the truth, and traits that do nothing."""
    known = {effect.trait: effect.column(survey) for effect in planted.PLANTED_EFFECTS}
    nulls = {
        "male": survey["gender"] == "Male",
        "student": survey["employment_status"] == "Student",
        **{name: survey[name] for name in NULLS if name.startswith("prefs_")},
    }
    columns = {name: np.asarray(values, dtype=float) for name, values in {**known, **nulls}.items()}
    return pd.DataFrame({"user_id": survey["user_id"], **columns})


def logit_of(users: int, seed: int) -> pd.DataFrame:
    """One twin's coefficients: trait, own, population (planted), beta, covered and rejected, both ways."""
    survey, pairs, _ = twin(users, seed)
    columns = traits(survey)
    names = [name for name in columns if name != "user_id"]
    fit = ordered_logit(pairs, columns, dict.fromkeys(names)).table.set_index("trait")
    rows = pairs.merge(columns, on="user_id")
    scale = rows[names].std(ddof=0)
    model = OrderedModel(
        gap_quartile(rows["score_gap"]) - 1, (rows[names] / scale).to_numpy(), distr="logit", hasconst=False
    )
    plain = model.fit(method="bfgs", maxiter=500, disp=False)
    naive = np.asarray(plain.conf_int())[: len(names)] / scale.to_numpy()[:, None]
    own = {effect.trait: effect.log_odds for effect in planted.PLANTED_EFFECTS}
    population = dict(zip(own, planted.population_averaged(survey, 1.0), strict=True))
    found = pd.DataFrame({"trait": names})
    found["own"] = [own.get(name, 0.0) for name in names]
    found["population"] = [population.get(name, 0.0) if own.get(name) else 0.0 for name in names]
    found["beta"] = fit.loc[names, "beta"].to_numpy()
    for kind, low, high in (
        ("clustered", fit.loc[names, "low"].to_numpy(), fit.loc[names, "high"].to_numpy()),
        ("naive", naive[:, 0], naive[:, 1]),
    ):
        found[f"covered {kind}"] = (low <= found["population"]) & (found["population"] <= high)
        found[f"rejected {kind}"] = (low > 0) | (high < 0)
    return found


def measures_of(users: int, seed: int) -> pd.DataFrame:
    """One twin's heterogeneity: measure, group, planted, estimate, covered, rejected (p < 0.05)."""
    survey, pairs, kinds = twin(users, seed)
    level = pairs["user_id"].map(survey.set_index("user_id")["lm_familiarity"])
    truth = planted.truth(survey, 1.0)
    mixed = truth.tastes.set_index("lm_familiarity")["consistency"]
    halves = np.random.default_rng(seed).permutation(users) % 2 == 0
    random = pairs["user_id"].map(dict(zip(survey["user_id"], halves, strict=True)))
    known = {
        ("gap_icc", "A"): truth.gap_icc,
        ("gap_icc", "B"): truth.gap_icc,
        ("consistency", "A"): mixed["Very familiar"],
        ("consistency", "B"): mixed["Somewhat familiar"],
    }
    known |= {
        (measure, "A - B"): known[measure, "A"] - known[measure, "B"]
        for measure in ("gap_icc", "consistency")
    }
    rows = []
    for split, in_a, truths in (
        ("familiarity", level == "Very familiar", known),
        ("random halves", random, {key: 0.0 for key in known if key[1] == "A - B"}),
    ):
        grouped = pairs.assign(group=np.where(in_a, "A", "B"))
        for row in heterogeneity(grouped, kinds, draws=400, seed=seed).measures.itertuples():
            value = truths.get((str(row.measure), str(row.group)))
            if value is not None:
                found = {"split": split, "measure": row.measure, "group": row.group, "planted": value}
                covered = row.low <= value <= row.high
                rows.append(found | {"estimate": row.estimate, "covered": covered, "p < 0.05": row.p < 0.05})
    return pd.DataFrame(rows)


def summary(found: pd.DataFrame, keys: list[str], estimate: str) -> pd.DataFrame:
    """Means over twins, with the Monte Carlo error of the mean estimate."""
    grouped = found.groupby(keys, sort=False)
    means = grouped.mean()
    means.insert(list(means.columns).index(estimate) + 1, "+-", grouped[estimate].sem())
    return means.astype(float).round(4).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1400)
    parser.add_argument("--twins", type=int, default=600)
    parser.add_argument("--mixed", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes) as pool:
        logit = pd.concat(pool.map(partial(logit_of, args.users), range(args.twins), chunksize=5))
        print(f"Ordered logit, {args.twins} generated twins of {args.users} people.\n")
        print(table(summary(logit, ["trait"], "beta")))
        nothing = logit[logit["own"] == 0]
        shares = nothing[["rejected clustered", "rejected naive"]].mean()
        print(
            f"\nTraits that do nothing, together: {shares.round(4).to_dict()} of {len(nothing)} tests.\n",
            flush=True,
        )
        measures = pd.concat(pool.map(partial(measures_of, args.users), range(args.mixed), chunksize=5))
        print(f"Heterogeneity, {args.mixed} generated twins of {args.users} people.\n")
        print(table(summary(measures, ["split", "measure", "group"], "estimate")))


if __name__ == "__main__":
    main()
