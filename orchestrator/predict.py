"""Fit the survey models to the training users and derive the splits that they predict."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from orchestrator import cli
from orchestrator.plan.tables import study_corpus
from orchestrator.record.places import places_of
from orchestrator.study.study import Study
from stats.errors import TableError
from stats.page.markdown import probability, table
from stats.survey.defaults import CUTS, W2_CUT
from stats.survey.ordered_logit import SurveyFit, binary_logit, ordered_logit
from stats.survey.predicted_splits import predicted_splits
from stats.text import plural
from training.data.corpus import Corpus
from training.data.splits import assign
from training.data.traits import PRISM_TRAITS
from training.errors import StudyError
from training.hints import suggestion
from training.spec import TwinData
from training.table_data import level_text

CORRECTIONS = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.predict") -> int:
    """Print and write the tables of both survey models and the predicted splits; the exit code is 0."""
    flags = cli.parser(program, __doc__)
    flags.add_argument("--write", type=Path, metavar="FILE", help="file for the splits: block of a study")
    flags.add_argument(
        "--all-users",
        action="store_true",
        help="fit the held-out users, too; verdicts on them are then not independent of the choice of splits",
    )
    study, args = cli.study_of(flags, argv)
    corpus = study_corpus(study)
    places = places_of(study)
    places.create()
    pairs, fitted_on = _fitted_pairs(study, corpus, args.all_users)
    ordered, binary = _fits(study, corpus, pairs)
    out = places.out / "prediction"
    out.mkdir(exist_ok=True)
    if corpus.generated:
        print("These people and their ratings were generated.")
    print(f"Both models are fitted on {fitted_on}.")
    for name, fit, alpha in (
        ("ordered", ordered, study.survey.alpha),
        ("binary", binary, study.survey.w2_alpha),
    ):
        fit.table.to_csv(out / f"{name}_logit.csv", index=False)
        fit.traits.to_csv(out / f"{name}_logit_traits.csv", index=False)
        _show(fit, study, alpha)
    print(f"tables: {out}")
    if args.write:
        survey = study.survey
        chosen = f"{ordered.model}, {CORRECTIONS[survey.correction]} p < {survey.alpha:g}, on {fitted_on}"
        splits = predicted_splits(ordered, survey.alpha, survey.correction)
        cli.write(args.write, f"# chosen by {chosen}\n{splits_block(splits)}", "--write")
        print(f"splits: {args.write}")
    return 0


def splits_block(splits: pd.DataFrame) -> str:
    """Return the `splits:` block of a study file, with one split per predicted trait.

    Args:
        splits: One row per trait: trait, a, b (the levels of each group; None for a numeric trait, which is
            split at its median), predicted.
    """
    block: dict[str, dict[str, object]] = {}
    for number, split in enumerate(splits.itertuples(), start=1):
        entry: dict[str, object] = {"by": "median" if split.a is None else "category", "column": split.trait}
        if split.a is not None:
            entry |= {"a": split.a, "b": split.b}
        block[f"S{number}_{str(split.trait).removeprefix('prefs_')}"] = entry | {"predicted": split.predicted}
    return yaml.safe_dump({"splits": block}, sort_keys=False, allow_unicode=True)


def _fitted_pairs(study: Study, corpus: Corpus, all_users: bool) -> tuple[pd.DataFrame, str]:
    """Return the pairs to fit, user_id and score_gap, and which users' they are, in words."""
    pairs = corpus.pairs[["pair_id", "user_id", "score_gap"]]
    folds = assign(corpus, study.held_out, None)
    training = pairs["pair_id"].isin(folds.loc[folds["fold"] == "train", "pair_id"])
    held_out = folds.loc[folds["fold"] == "heldout", "user_id"]
    number = plural(held_out.nunique(), "held-out user")
    if all_users:
        return pairs, (
            f"all users, with the {number}: verdicts on these are not independent of the choice of splits"
        )
    return pairs[training], f"the training users, without the {number}"


def _fits(study: Study, corpus: Corpus, pairs: pd.DataFrame) -> tuple[SurveyFit, SurveyFit]:
    """Return the ordered logit and the binary logit W2 of a study's people and these pairs."""
    survey = study.survey
    gaps = pairs["score_gap"].dropna()
    if gaps.empty:
        raise StudyError(
            "data: no pair has a score gap, which a survey model explains; name columns.score_gap, "
            "ratings, or a signed preference"
        )
    traits = survey_traits(study, corpus)
    users = corpus.users
    for trait, reference in traits.items():
        if trait not in users:
            known = [column for column in users.columns if column != "user_id"]
            raise StudyError(f"survey.traits: no trait {trait!r}; {suggestion(trait, known)}")
        values = users[trait] if reference is None else users[trait].map(level_text)
        users = users.assign(**{trait: values})
    published = study.data.source in ("prism", "twin")
    cuts = survey.cuts or (CUTS if published else quartiles(gaps))
    w2_cut = survey.w2_cut
    if w2_cut is None:
        w2_cut = W2_CUT if published else quartiles(gaps, 2)[0]
    try:
        return (
            ordered_logit(pairs, users, traits, cuts, survey.min_users),
            binary_logit(pairs, users, traits, w2_cut, survey.min_users),
        )
    except TableError as error:
        raise StudyError(f"survey: {error}") from error


def survey_traits(study: Study, corpus: Corpus) -> dict[str, str | None]:
    """Return each trait that the survey models use, with its reference level; None for a numeric one.

    Those that the study names; otherwise PRISM's for PRISM and its twin, and for other data all traits, a
    category being compared with its most common level.
    """
    if study.survey.traits is not None:
        return study.survey.traits
    if isinstance(study.data, TwinData) or study.data.source == "prism":
        return dict(PRISM_TRAITS)
    traits: dict[str, str | None] = {}
    for name in study.data.traits:
        values = corpus.users[name].dropna()
        numeric = pd.api.types.is_numeric_dtype(values)
        traits[name] = None if numeric or values.empty else str(values.value_counts().sort_index().idxmax())
    if not traits:
        raise StudyError("data.traits: none is named, so nothing predicts; name what is known of people")
    return traits


def quartiles(gaps: "pd.Series[float]", parts: int = 4) -> tuple[float, ...]:
    """Return the points that cut score gaps into equal parts, each once and none at the largest gap.

    Raises:
        StudyError: All gaps are equal.
    """
    cuts = {float(gaps.quantile(part / parts, interpolation="lower")) for part in range(1, parts)}
    below = sorted(cut for cut in cuts if cut < gaps.max())
    if not below and gaps.min() < gaps.max():
        below = [float(gaps[gaps < gaps.max()].max())]
    if not below:
        raise StudyError(f"data: all score gaps are {gaps.max():g}; a survey model needs different ones")
    return tuple(below)


def _show(fit: SurveyFit, study: Study, alpha: float) -> None:
    """Print a fit: its size, what it left out, the test of each trait, the coefficients and the selection."""
    survey = study.survey
    print(f"\n{fit.model}: {fit.pairs} pairs of {fit.users} users; {fit.left_out} pairs are left out")
    for row in fit.rare.itertuples():
        print(
            f"left out: {row.trait} {row.level!r} with {plural(row.users, 'user')}; fewer than "
            f"survey.min_users {survey.min_users}"
        )
    correction = CORRECTIONS[survey.correction]
    tests = fit.traits
    corrected = tests[f"p_{survey.correction}"]
    shown = pd.DataFrame(
        {
            "trait": tests["trait"],
            "coefficients": tests["terms"],
            "F": tests["f"].map(_short),
            "df": tests["df"].map(_short),
            f"p ({correction})": corrected.map(probability),
            "selected": (corrected < alpha).map({True: "yes", False: "no"}),
        }
    )
    print(f"\n{table(shown)}\n")
    coefficients = fit.table.assign(
        **{name: fit.table[name].map(_short) for name in ("beta", "se", "df", "low", "high")}
    )
    print(table(coefficients))
    splits = predicted_splits(fit, alpha, survey.correction)
    predicted = ", ".join(f"{row.trait} ({row.predicted})" for row in splits.itertuples())
    print(f"\npredicted ({correction} p < {alpha:g}): {predicted or 'none'}\n")


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


if __name__ == "__main__":
    cli.exit_with(main)
