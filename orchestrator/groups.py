"""Show who is in a study's groups, and how much the people in a group differ."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator import cli
from orchestrator.plan.tables import study_corpus
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import places_of
from orchestrator.record.replaced import replaced
from stats.errors import TableError
from stats.page import group_report
from stats.page.markdown import table
from stats.survey.heterogeneity import heterogeneity
from training.data.corpus import Corpus
from training.data.features import differences
from training.data.splits import assign
from training.errors import StudyError
from training.spec import DataSource, TwinData


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.groups") -> int:
    """Print the sizes, and write a page, tables and a figure to disk and to MLflow; the exit code is 0."""
    flags = cli.parser(program, __doc__)
    flags.add_argument(
        "--published",
        type=Path,
        metavar="CSV",
        help="also show published sizes, such as those of configs/reference/splits.csv",
    )
    study, args = cli.study_of(flags, argv)
    corpus = study_corpus(study)
    groups = {
        name: assign(corpus, study.held_out, split, place=f"splits.{name}")
        for name, split in study.grid_splits.items()
    }
    sizes = _sizes(groups, None if args.published is None else _published(args.published))
    print(table(sizes.astype(object).where(sizes.notna(), "-")))
    measures, features, left_out = _differences(corpus, groups, study.data)
    places = places_of(study)
    out = places.out / "groups"
    places.create()
    ledger = Ledger(places)
    with replaced(out) as folder:
        page = group_report.write(
            sizes, measures, features, left_out, study.study, corpus.generated, folder, study.language
        )
        ledger.study_run.publish(folder, "groups", {"splits": str(len(groups))})
    print(f"groups: {out / page.name}\nMLflow: {ledger.page}")
    return 0


def _sizes(groups: dict[str, pd.DataFrame], published: pd.DataFrame | None) -> pd.DataFrame:
    """Return one row per group: split, group, users, pairs, train, heldout, and the published sizes."""
    rows = [
        {
            "split": name,
            "group": group,
            "users": members["user_id"].nunique(),
            "pairs": len(members),
            "train": int((members["fold"] == "train").sum()),
            "heldout": int((members["fold"] == "heldout").sum()),
        }
        for name, assigned in groups.items()
        for group, members in assigned.groupby("group")
    ]
    sizes = pd.DataFrame(rows)
    return sizes if published is None else sizes.merge(published, on=["split", "group"], how="left")


def _published(path: Path) -> pd.DataFrame:
    """Read a table with one row per split, and return one row per group: its published users and pairs."""
    columns = ["split", "users_a", "users_b", "pairs_a", "pairs_b"]
    try:
        wide = pd.read_csv(path, usecols=columns)
    except (OSError, ValueError) as error:
        raise StudyError(f"--published: {path}: {error}; columns needed: {', '.join(columns)}") from error
    sides = [
        pd.DataFrame(
            {
                "split": wide["split"],
                "group": group,
                "published_users": wide[f"users_{group.lower()}"].astype("Int64"),
                "published_pairs": wide[f"pairs_{group.lower()}"].astype("Int64"),
            }
        )
        for group in "AB"
    ]
    return pd.concat(sides)


def _gaps_of_100(gaps: pd.Series, data: DataSource) -> pd.Series:
    """Return score gaps on PRISM's scale, where the largest is 99; missing if the largest is unknown."""
    if isinstance(data, TwinData):
        return gaps
    return gaps * (np.nan if data.largest_gap is None else 100 / (data.largest_gap + 1))


def _differences(
    corpus: Corpus, groups: dict[str, pd.DataFrame], data: DataSource
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Return measures and features with a column split, and the reason for each split that has neither."""
    pairs = corpus.pairs.set_index("pair_id")
    gaps, text = _gaps_of_100(pairs["score_gap"], data), differences(pairs)
    measures, features, left_out = [], [], {}
    for name, assigned in groups.items():
        members = assigned.set_index("pair_id").join(gaps)
        try:
            differing = heterogeneity(members, text.loc[members.index])
        except TableError as error:
            left_out[name] = str(error)
            continue
        measures.append(differing.measures.assign(split=name))
        features.append(differing.features.assign(split=name))
    return _joined(measures), _joined(features), left_out


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame()
    table = pd.concat(frames, ignore_index=True)
    return table[["split", *(name for name in table if name != "split")]]


if __name__ == "__main__":
    cli.exit_with(main)
