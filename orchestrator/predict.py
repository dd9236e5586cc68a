"""Fit the survey models and derive the splits that they predict."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from orchestrator import cli
from orchestrator.record.places import places_of
from orchestrator.study.study import Study
from stats.errors import TableError
from stats.survey.ordered_logit import SurveyFit, binary_logit, ordered_logit, predicted_splits
from training.data.corpus import Corpus
from training.data.sources import load_corpus
from training.errors import StudyError
from training.hints import suggestion

UNDISCLOSED = "Prefer not to say"  # counts as a missing trait, not as one of its levels


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.predict") -> int:
    """Print and write the tables of both survey models and the predicted splits; the exit code is 0."""
    flags = cli.parser(program, __doc__)
    flags.add_argument("--write", type=Path, metavar="FILE", help="file for the splits: block of a study")
    study, args = cli.study_of(flags, argv)
    corpus = load_corpus(study.data)
    ordered, binary = _fits(study, corpus)
    out = places_of(study).out / "prediction"
    out.mkdir(parents=True, exist_ok=True)
    if corpus.generated:
        print("These people and their ratings were generated.")
    for name, fit, alpha in (
        ("ordered", ordered, study.survey.alpha),
        ("binary", binary, study.survey.w2_alpha),
    ):
        fit.table.to_csv(out / f"{name}_logit.csv", index=False)
        splits = predicted_splits(fit, alpha)
        print(
            f"{fit.model}: {fit.pairs} pairs of {fit.users} users; {fit.left_out} pairs are left out, since "
            "their user lacks a trait"
        )
        print(fit.table.round(4).to_string(index=False, na_rep=""))
        predicted = ", ".join(f"{row.trait} ({row.predicted})" for row in splits.itertuples())
        print(f"p < {alpha:g}: {predicted or 'none'}\n")
    print(f"tables: {out}")
    if args.write:
        cli.write(args.write, splits_block(predicted_splits(ordered, study.survey.alpha)), "--write")
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


def _fits(study: Study, corpus: Corpus) -> tuple[SurveyFit, SurveyFit]:
    """Return the ordered logit and the binary logit W2 of a study's people and pairs."""
    survey = study.survey
    missing = [trait for trait in survey.traits if trait not in corpus.users]
    if corpus.pairs["score_gap"].isna().all():
        raise StudyError(
            f"data.source: no pair of {study.data.source!r} has a score; a survey model needs prism or twin"
        )
    if missing:
        traits = [column for column in corpus.users.columns if column != "user_id"]
        raise StudyError(f"survey.traits: no trait {missing[0]!r}; {suggestion(missing[0], traits)}")
    users = corpus.users.assign(
        **{trait: corpus.users[trait].where(corpus.users[trait] != UNDISCLOSED) for trait in survey.traits}
    )
    pairs = corpus.pairs[["user_id", "score_gap"]]
    try:
        return (
            ordered_logit(pairs, users, survey.traits, survey.cuts),
            binary_logit(pairs, users, survey.traits, survey.w2_cut),
        )
    except TableError as error:
        raise StudyError(f"survey: {error}") from error


if __name__ == "__main__":
    cli.exit_with(main)
