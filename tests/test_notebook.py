"""The public face of `stats`: its examples run, and its tables hold the numbers of a report."""

import doctest
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stats
from stats.compare import compare_published
from stats.errors import TableError
from stats.evidence.held_out import held_out_evidence
from stats.evidence.options import Options
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums
from stats.names import SPLIT

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"
PREDICTIONS = pd.DataFrame(
    [("simulated", "S1", "A > B"), ("simulated", "S2", "A = B"), ("simulated", "S3", "exploratory")],
    columns=["study", "split", "predicted"],
)


@pytest.fixture
def table() -> pd.DataFrame:
    """Outcomes of two methods and three splits, with different seeds and noise."""
    rng, frames = np.random.default_rng(0), []
    for number, split in enumerate(PREDICTIONS["split"]):
        truth = SimulatedStudy(3, 20, 4, accuracy_a=0.8, accuracy_b=0.6)
        rows = simulated_outcomes(truth, np.random.default_rng(number), "dpo", split)
        other = rows.assign(method="wpo", margin=rows["margin"] + rng.normal(0, 0.3, len(rows)))
        frames += [rows, other.assign(correct=other["margin"] > 0)]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("name", [name for name in stats.__all__ if inspect.isfunction(getattr(stats, name))])
def test_the_example_in_a_docstring_prints_what_it_says(name: str) -> None:
    runner = doctest.DocTestRunner()
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(stats, name), name)
    assert example.examples
    assert runner.run(example).failed == 0


def test_every_public_name_is_offered() -> None:
    assert set(stats.__all__) <= set(dir(stats))
    with pytest.raises(AttributeError, match="no attribute 'judges'"):
        stats.judges  # noqa: B018


def test_judged_outcomes_are_the_evidence_of_a_report(table: pd.DataFrame) -> None:
    judged = stats.judge(table, PREDICTIONS, "dpo")
    predicted = dict(zip(PREDICTIONS["split"], PREDICTIONS["predicted"], strict=True))
    families = {("simulated", method): 2 for method in ("dpo", "wpo")}
    report = held_out_evidence(user_sums(table), predicted, "dpo", Options(), families)
    columns = {
        "n_seeds": "seeds",
        "estimate": "estimate_pp",
        "low": "low95_pp",
        "high": "high95_pp",
        "low_adjusted": "low_pp",
        "high_adjusted": "high_pp",
        "p": "p",
        "p_holm": "p_holm",
        "evidence": "evidence",
    }
    tables = {"diff": report.diffs, "change": report.changes, "advantage": report.advantages}
    for contrast, expected in tables.items():
        rows = judged[judged["contrast"] == contrast].drop(columns=["contrast", "regime"])
        rows = rows.reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, expected[[*SPLIT, *columns]].rename(columns=columns))
    assert len(judged) == 6 + 3 + 6


def test_a_split_without_outcomes_keeps_its_place_in_the_family(table: pd.DataFrame) -> None:
    """Two of four predicted splits failed, for one method or for both: the other adjustments stay."""
    more = pd.DataFrame(
        [("simulated", "S4", "A > B"), ("simulated", "S5", "A < B")], columns=PREDICTIONS.columns
    )
    plan = pd.concat([PREDICTIONS, more])
    key = ["method", "split", "contrast"]
    alone, planned = (stats.judge(table, rows, "dpo").set_index(key) for rows in (PREDICTIONS, plan))
    first = ("dpo", "S1", "diff")
    # Holm's first steps of families of two and of four, whose other members have larger p values.
    assert planned.loc[first, "p_holm"] == pytest.approx(4 * planned.loc[first, "p"])
    assert alone.loc[first, "p_holm"] == pytest.approx(2 * alone.loc[first, "p"])
    assert (planned["low_pp"].dropna() < alone["low_pp"].dropna()).all()
    of_wpo_only = table[(table["method"] == "wpo") | (table["split"] == "S1")]
    lacking = stats.judge(of_wpo_only, PREDICTIONS, "dpo").set_index(key)
    assert lacking.loc[first, "p_holm"] == pytest.approx(2 * lacking.loc[first, "p"])


def test_cells_are_judged_alike_in_whatever_order_their_rows_come(table: pd.DataFrame) -> None:
    key = ["method", "split", "contrast"]
    shuffled = table.sample(frac=1, random_state=np.random.default_rng(0)).assign(
        split=lambda rows: rows["split"].astype("category")
    )
    judged, again = (stats.judge(rows, PREDICTIONS, "dpo").set_index(key) for rows in (table, shuffled))
    pd.testing.assert_frame_equal(judged, again.loc[judged.index])


def test_an_advantage_is_predicted_to_be_positive_whichever_group_is_above(table: pd.DataFrame) -> None:
    """Each arm is better on its own group's pairs, and group B's pairs are easier: A minus B is negative."""
    rng = np.random.default_rng(3)
    own = table["arm"] == table["eval_group"]
    share = np.where(own, 0.8, 0.4) + np.where(table["eval_group"] == "B", 0.15, 0.0)
    correct = rng.random(len(table)) < share
    worse = table.assign(correct=correct, margin=np.where(correct, 1.0, -1.0))
    for predicted, diff in (("A > B", "contradicted"), ("A < B", "supported")):
        predictions = PREDICTIONS.assign(predicted=[predicted, "A = B", "exploratory"])
        judged = stats.judge(worse, predictions, "dpo").set_index(["method", "split", "contrast"])
        assert judged.loc[("dpo", "S1", "advantage"), "evidence"] == "supported"
        assert judged.loc[("dpo", "S1", "diff"), "evidence"] in (diff, "undecided")


def test_a_single_method_has_no_changes(table: pd.DataFrame) -> None:
    judged = stats.judge(table[table["method"] == "dpo"], PREDICTIONS, "dpo")
    assert judged["contrast"].tolist() == ["diff"] * 3 + ["advantage"] * 3


def test_outcomes_that_cannot_be_judged_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="reference: no outcomes of 'ipo'; methods: dpo, wpo"):
        stats.judge(table, PREDICTIONS, "ipo")
    with pytest.raises(TableError, match="predictions: none for split 'S3'"):
        stats.judge(table, PREDICTIONS[:2], "dpo")
    with pytest.raises(TableError, match="has no valid `predicted`"):
        stats.judge(table, PREDICTIONS.assign(predicted="up"), "dpo")
    other_study = pd.concat([table, table.assign(study="second")])
    contradictory = pd.concat([PREDICTIONS, PREDICTIONS.assign(study="second", predicted="A < B")])
    with pytest.raises(TableError, match="judge one study at a time"):
        stats.judge(other_study, contradictory, "dpo")


def test_published_labels_are_those_of_a_report() -> None:
    diffs = pd.read_csv(REFERENCE / "v5b_diffs.csv")
    predictions = pd.read_csv(REFERENCE / "v5b_predictions.csv")
    judged = stats.judge_published(diffs, predictions, "dpo")
    report = compare_published(diffs, predictions, "dpo").published
    verdicts = report.verdicts.rename(columns={"n_seeds": "seeds"})
    pd.testing.assert_frame_equal(judged[verdicts.columns.tolist()], verdicts, check_dtype=False)
    changes = judged[judged["change"].notna()].set_index(SPLIT)[["reference_verdict", "change"]]
    expected = report.changes.set_index(SPLIT)[["reference_verdict", "change"]]
    pd.testing.assert_frame_equal(changes, expected, check_dtype=False)


def test_a_split_that_only_the_reference_has_stays_in_sight() -> None:
    rows = [("dpo", "S1", 1, 2.0), ("dpo", "S2", 1, 2.0), ("wpo", "S1", 1, 2.0)]
    diffs = pd.DataFrame(rows, columns=["method", "split", "seed", "diff_pp"]).assign(study="simulated")
    judged = stats.judge_published(diffs, PREDICTIONS, "dpo").set_index(["method", "split"])
    row = judged.loc[("wpo", "S2")]
    assert (row["seeds"], row["predicted"]) == (0, "A = B")
    assert (row["verdict"], row["reference_verdict"], row["change"]) == ("INCOMPLETE", "OK", "INCOMPLETE")


def test_a_reference_without_diffs_is_refused() -> None:
    diffs = pd.DataFrame([("s", "dpo", "S1", 1, 2.0)], columns=[*SPLIT, "seed", "diff_pp"])
    with pytest.raises(TableError, match="reference: no diffs of 'ipo'; methods: dpo"):
        stats.judge_published(diffs, PREDICTIONS, "ipo")


def test_a_design_that_sees_no_possible_diff_says_so() -> None:
    assert stats.power(3.5, seeds=2, splits=7) == np.inf
    assert stats.power(3.5, seeds=2) < 100


def test_seeds_for_a_diff_are_the_first_that_see_it() -> None:
    seeds = int(stats.power(3.5, diff_pp=2.5))
    assert stats.power(3.5, seeds=seeds) <= 2.5 < stats.power(3.5, seeds=seeds - 1)
    assert stats.power(3.5, seeds=5, splits=7) > stats.power(3.5, seeds=5)
    assert np.isinf(stats.power(3.5, diff_pp=0.01))


@pytest.mark.parametrize(
    "wrong",
    [{}, {"seeds": 5, "diff_pp": 2.0}, {"seeds": 1}, {"seeds": 5, "splits": 0}, {"seeds": 5, "alpha": 1.0}],
)
def test_power_needs_one_unknown_and_numbers_in_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="power: "):
        stats.power(3.5, **wrong)  # type: ignore[arg-type]
