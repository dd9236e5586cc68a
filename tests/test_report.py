"""Comparison and report: whole, partial, failing and tiny studies; published tables; the same bytes twice."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from stats.compare import compare, compare_published
from stats.comparison import Comparison
from stats.errors import TableError
from stats.evidence.sums import user_sums
from stats.page import report
from stats.page.page import Page
from stats.page.published_report import published_report
from stats.page.words import Words
from stats.rule.published import read, restore
from tests.finished_study import (
    SPLIT_PREDICTIONS,
    FinishedTables,
    finished_comparison,
    finished_tables,
    study_tables,
)

PUBLISHED_FILES = Path(__file__).parent.parent / "configs" / "reference"


def page_text(comparison: Comparison) -> str:
    """Return a report without its figures."""
    return report.render(comparison, {"study": "s"}, False, Page(Words(), {}))


def body(page: str) -> str:
    """Return a page without its front matter."""
    return page.split("\n---\n\n", 1)[1]


@pytest.fixture(scope="module")
def finished_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a finished study on generated data, with its tables and figures beside it."""
    folder = tmp_path_factory.mktemp("finished")
    return report.write(finished_comparison(), {"study": "s"}, True, folder)


@pytest.fixture(scope="module")
def damaged() -> Comparison:
    """A study in which one cell of wpo failed on S1, and one cell of wpo on S2 does not pass a gate."""
    cells, outcomes, curves = study_tables()
    lost = (cells["method"] == "wpo") & (cells["split"] == "S1") & (cells["seed"] == 2)
    cells.loc[lost, "status"] = "failed"
    cells.loc[lost, "error"] = "OutOfMemoryError: arm B"
    cells.loc[lost, [name for name in cells if "/" in name]] = np.nan
    unmoved = (cells["method"] == "wpo") & (cells["split"] == "S2") & (cells["seed"] == 1)
    cells.loc[unmoved, "B/margin_tail"] = 0.0
    kept = ~((outcomes["method"] == "wpo") & (outcomes["split"] == "S1") & (outcomes["seed"] == 2))
    return FinishedTables(cells, outcomes[kept], curves).compare()


def test_a_finished_study_shows_labels_and_evidence_side_by_side(finished_report: Path) -> None:
    labels = finished_comparison().labels.set_index(["method", "split"])
    columns = ["verdict", "evidence", "carried"]
    assert labels.loc[("dpo", "S1"), columns].tolist() == ["MATCH", "supported", "yes"]
    assert labels.loc[("dpo", "S2"), "carried"] == "no"  # OK is printed, but 3 seeds cannot show a null
    assert labels.loc[("dpo", "S3"), "verdict"] is None
    page, folder = finished_report.read_text(), finished_report.parent
    first_lines = body(page).splitlines()[:3]
    assert first_lines[0] == "# s: 24 of 24 cells finished, on generated data"
    assert first_lines[2].startswith("**Generated data**")
    assert "| wpo | mean | 70.00 |" in page
    for figure in ("forest", "changes", "seeds", "curves", "power", "rule"):
        assert f"({figure}.png)" in page
        assert (folder / f"{figure}.png").stat().st_size > 5000
    assert "new seeds and new users" in page
    changes = pd.read_csv(folder / "changes.csv")
    assert list(changes) == ["split", "reference_verdict", "method_verdict", "change"]
    intervals = pd.read_csv(folder / "intervals.csv")
    assert intervals["captures"].notna().all()
    unexplained = intervals[intervals["low"].isna() & intervals["note"].isna()]
    assert unexplained.empty


def test_the_order_is_that_of_the_notes_and_weights_are_what_the_arms_saw(finished_report: Path) -> None:
    page = finished_report.read_text()
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert [heading.split(" (")[0].split(":")[0] for heading in headings] == [
        "Setup",
        "Completeness",
        "Weights",
        "Baselines",
        "Splits",
        "Diffs by seed",
        "Learning curves",
        "What the evidence supports",
    ]
    assert "| wpo | S1 | 0.3000 | 0.1000 | 0.0300 | 0.0300 | 25.0% | 25.0% |" in page
    assert "| wpo | 12 | 12 | 0 | 0 | 0 |" in page


def test_front_matter_says_when_and_how_complete(finished_report: Path, damaged: Comparison) -> None:
    before, facts, _ = finished_report.read_text().split("---\n", 2)
    assert not before
    assert yaml.safe_load(facts) == {
        "title": "s",
        "date": date(2026, 3, 5),
        "status": "completed",
        "tags": ["preference-tuning", "dpo", "wpo", "generated-data"],
    }
    html = finished_report.with_suffix(".html").read_text()
    assert "<h1>s: " in html
    assert "preference-tuning" not in html
    assert "status: incomplete, 23 of 24 cells" in page_text(damaged)


def test_the_same_tables_give_the_same_bytes(finished_report: Path, tmp_path: Path) -> None:
    """Both the comparison and the report are made twice."""
    report.write(finished_tables().compare(), {"study": "s"}, True, tmp_path)
    first, second = (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (finished_report.parent, tmp_path)
    )
    assert sorted(first) == sorted(second)
    assert not [name for name in first if first[name] != second[name]]


def test_a_missing_cell_is_named_and_its_split_has_no_verdict(damaged: Comparison) -> None:
    verdicts = damaged.published.verdicts.set_index(["method", "split"])["verdict"]
    assert verdicts["wpo", "S1"] == "INCOMPLETE"
    assert damaged.published.changes.set_index("split").loc["S1", "change"] == "INCOMPLETE"
    assert not damaged.cells.complete
    page = body(page_text(damaged))
    assert page.startswith("# s: 23 of 24 cells finished")
    assert "- wpo/S1/2 failed: OutOfMemoryError: arm B" in page


def test_a_split_without_any_finished_cell_is_still_shown() -> None:
    cells, outcomes, curves = study_tables(methods=("dpo",))
    cells.loc[cells["split"] == "S2", "status"] = "missing"
    comparison = FinishedTables(cells, outcomes[outcomes["split"] != "S2"], curves).compare()
    row = comparison.published.verdicts.set_index("split").loc["S2"]
    assert (row["verdict"], row["predicted"], row["n_seeds"]) == ("INCOMPLETE", "A = B", 0)
    assert "- dpo/S2/0 missing" in page_text(comparison)


def test_a_failed_gate_withholds_the_verdict_and_says_why(damaged: Comparison) -> None:
    verdicts = damaged.published.verdicts.set_index(["method", "split"])["verdict"]
    assert verdicts["wpo", "S2"] == "WITHHELD"
    assert damaged.published.changes.set_index("split").loc["S2", "change"] == "INCOMPLETE"
    assert damaged.heldout is not None
    assert "S2" not in set(damaged.heldout.changes["split"])
    page = page_text(damaged)
    assert "**Verdicts withheld**: 1 cell failed a validity gate: wpo/S2/1" in page
    assert "arm B did not move" in page


@pytest.mark.parametrize("seeds", [1, 2])
def test_tiny_studies_are_answered(seeds: int) -> None:
    page = page_text(study_tables(seeds=seeds).compare())
    assert "nan" not in page.lower()
    if seeds == 1:
        assert "nothing about other seeds" in page


def test_a_study_without_any_finished_cell_has_a_report_too() -> None:
    cells, outcomes, curves = study_tables()
    cells["status"] = "missing"
    comparison = compare(
        cells, SPLIT_PREDICTIONS, "dpo", sums=user_sums(outcomes.head(0)), curves=curves.head(0)
    )
    assert body(page_text(comparison)).startswith("# s: 0 of 24 cells finished")
    assert set(comparison.published.verdicts["verdict"]) == {"INCOMPLETE"}


def test_all_correct_and_all_wrong_have_a_defined_answer() -> None:
    tables = study_tables(seeds=2)
    for margin in (1.0, -1.0):
        flat = tables.outcomes.assign(margin=margin, correct=margin > 0)
        comparison = tables._replace(outcomes=flat).compare()
        assert comparison.heldout is not None
        diffs = comparison.heldout.diffs
        assert (diffs["estimate"] == 0).all()
        assert set(diffs["evidence"]) == {"undecided"}
        assert diffs["note"].str.contains("no outcome varies").all()
        assert "nan" not in page_text(comparison).lower()


DEGENERATE_TABLES = {
    "one split, one seed, one method": [("dpo", "S1", 1, 2.0)],
    "one split, one seed each": [("dpo", "S1", 1, 2.0), ("wpo", "S1", 1, -1.0)],
    "one split": [("dpo", "S1", seed, seed - 1.5) for seed in range(4)] + [("wpo", "S1", 0, 3.0)],
    "a constant diff": [(method, "S1", seed, 3.0) for method in ("dpo", "wpo") for seed in range(3)],
    "all zero": [(method, "S1", seed, 0.0) for method in ("dpo", "wpo") for seed in range(3)],
    "other seeds": [("dpo", "S1", seed, seed * 1.0) for seed in range(3)] + [("wpo", "S1", 9, 1.0)],
    "a split that the reference lacks": [("dpo", "S2", 1, 0.5), ("wpo", "S1", 1, 3.0)],
    "exploratory alone": [("dpo", "S3", seed, seed * 1.0) for seed in range(3)],
}


@pytest.mark.parametrize("rows", DEGENERATE_TABLES.values(), ids=DEGENERATE_TABLES)
def test_degenerate_tables_are_answered_and_say_why_a_number_is_missing(
    rows: list[tuple[object, ...]], tmp_path: Path
) -> None:
    diffs = pd.DataFrame(
        [("s", *row) for row in rows], columns=["study", "method", "split", "seed", "diff_pp"]
    )
    comparison = compare_published(diffs, SPLIT_PREDICTIONS, "dpo")
    assert len(comparison.published.verdicts) == diffs.groupby(["method", "split"]).ngroups
    for table in (comparison.tail.diffs, comparison.tail.changes):
        if len(table):
            gaps = table[["low", "high", "p", "p_holm", "low_adjusted", "p_equivalent"]].isna().any(axis=1)
            assert (table.loc[gaps, "note"] != "").all()
            assert table["estimate"].notna().all()
    page = report.write(comparison, {"study": "s"}, False, tmp_path).read_text()
    assert not re.search(r"\bnan\b|\binf\b", page.lower())


def test_unbalanced_seeds_are_compared_on_what_they_share() -> None:
    cells, outcomes, curves = study_tables()
    cells, outcomes = (
        table[~((table["method"] == "wpo") & (table["seed"] > 0))] for table in (cells, outcomes)
    )
    comparison = FinishedTables(cells, outcomes, curves).compare()
    assert comparison.heldout is not None
    changes = comparison.heldout.changes
    assert changes["captures"].str.contains("the method has one seed").all()
    assert changes["p"].notna().all()


def test_the_published_report_reproduces_the_published_table(tmp_path: Path) -> None:
    published = pd.read_csv(PUBLISHED_FILES / "v5b_verdicts.csv").set_index("split")
    predictions = published.reset_index()[["split", "predicted"]].assign(study="v3")
    published_report(read(PUBLISHED_FILES / "v5b_diffs.csv"), predictions, "dpo", tmp_path)
    verdicts = pd.read_csv(tmp_path / "verdicts.csv")
    assert " ".join(verdicts) == (
        "study method split predicted n_seeds mean_pp std_pp direction x_of_n verdict"
    )
    for method in ("dpo", "wpo"):
        rows = verdicts[verdicts["method"] == method].set_index("split").loc[published.index]
        assert rows["verdict"].tolist() == published[f"{method}_verdict"].tolist()
        assert [f"{x:+.2f}" for x in rows["mean_pp"]] == [f"{x:+.2f}" for x in published[f"{method}_diff_pp"]]
    changes = pd.read_csv(tmp_path / "changes.csv")
    assert list(changes) == ["split", "reference_verdict", "method_verdict", "change"]
    assert changes.set_index("split")["change"].loc[published.index].tolist() == published["change"].tolist()
    page = (tmp_path / "report.md").read_text()
    assert body(page).splitlines()[2].startswith("**Published numbers**")
    assert "1 of 7 dpo means differ from zero; the smallest adjusted p is 0.033" in page
    assert "one more dpo seed contains wpo's mean in 7 of 7 splits" in page
    assert "The published rule prints: 2 FIXED, 1 IMPROVED, 1 STABLE, 3 UNCHANGED." in page
    assert "| wpo | S1_age | 1 | +4.22 | [-3.8, +12.3] | 1.000 | [-10.2, +9.6] | yes |" in page
    assert "- wpo: FIXED 2/7 (S1_age, S3_personalisation); IMPROVED 1/7 (S6_helpfulness); STABLE 1/7" in page
    assert "| wpo | changes | 7 | none |" in page  # FIXED is printed twice, and supported never


def test_published_numbers_are_restored_only_where_they_are_what_was_published() -> None:
    rows = [("dpo", 1.56), ("dpo", -5.47), ("dpo", 0.0), ("ipo", 1.56), ("ipo", 1.0)]
    diffs = pd.DataFrame(rows, columns=["method", "diff_pp"]).assign(study="v3")
    assert restore(diffs)["diff_pp"].tolist() == [1.5625, -5.46875, 0.0, 1.56, 1.0]


@pytest.mark.parametrize(
    ("rows", "reference", "message"),
    [
        ([("v", "dpo", "S1", 1, "x")], "dpo", "no number in diff_pp"),
        ([("v", "dpo", "S1", 1, 1.0)], "ipo", "no diffs of 'ipo'; methods: dpo"),
        ([], "dpo", "methods: none"),
        ([("v", "dpo", "S9", 1, 1.0)], "dpo", "none for split 'S9'"),
    ],
)
def test_a_published_table_that_cannot_be_judged_is_refused(
    rows: list[tuple[object, ...]], reference: str, message: str, tmp_path: Path
) -> None:
    diffs = pd.DataFrame(rows, columns=["study", "method", "split", "seed", "diff_pp"])
    with pytest.raises(TableError, match=message):
        published_report(diffs, SPLIT_PREDICTIONS, reference, tmp_path)
    with pytest.raises(TableError, match="not readable as a CSV"):
        read(tmp_path / "absent.csv")


def test_another_versions_verdicts_appear_beside_ones_own(finished_report: Path, tmp_path: Path) -> None:
    comparison = finished_comparison()
    other = read(finished_report.with_name("verdicts.csv"))
    page = report.write(comparison, {"study": "s"}, False, tmp_path, other).read_text()
    count = comparison.published.verdicts["verdict"].notna().sum()
    assert f"Same verdict: {count} of {count}" in page
    assert pd.read_csv(tmp_path / "crosscheck.csv")["agree"].all()


def test_a_run_of_ones_own_beside_a_published_reference(tmp_path: Path) -> None:
    """The published seeds have diffs but no outcomes, so verdicts and changes rest on the seeds alone."""
    cells, outcomes, curves = study_tables(seeds=1, methods=("wpo",))
    rng = np.random.default_rng(1)
    diffs = {"S1": 0.2, "S2": 0.0, "S3": 0.05}
    published = pd.DataFrame(
        [
            {"study": "s", "method": "dpo", "split": split, "seed": seed, "status": "published"}
            | {"error": None, "diff/pref_acc_tail": value + rng.integers(-4, 5) / 128}
            for split, value in diffs.items()
            for seed in range(5)
        ]
    )
    every_cell = pd.concat([cells, published], ignore_index=True)
    comparison = FinishedTables(every_cell, outcomes, curves).compare()
    assert comparison.cells.complete
    changes = comparison.change_labels.set_index("split")
    assert changes.loc["S1", "change"] == "STABLE"
    assert changes["evidence"].notna().all()
    assert changes[["low_adjusted", "high_adjusted"]].notna().all(axis=None)
    verdicts = comparison.labels.set_index(["method", "split"])
    assert verdicts.loc[("dpo", "S1"), "n_seeds"] == 5
    assert verdicts.loc[("dpo", "S1"), "evidence"] is not None
    page = report.write(comparison, {"study": "s"}, False, tmp_path).read_text()
    assert "published numbers have none" in page
    assert not re.search(r"\bnan\b", page.lower())


def test_a_held_out_curve_is_drawn_and_kept_where_a_study_asked_for_one(tmp_path: Path) -> None:
    cells, outcomes, curves = study_tables()
    along = curves[curves["metric"] == "accuracy"].assign(metric="heldout_accuracy")
    comparison = FinishedTables(cells, outcomes, pd.concat([curves, along])).compare()
    page = report.write(comparison, {"study": "s"}, False, tmp_path).read_text()
    assert "Held-out accuracy along the run, A minus B" in page
    assert "(heldout_curves.png)" in page
    assert (tmp_path / "heldout_curves.png").stat().st_size > 5000
    kept = pd.read_csv(tmp_path / "heldout_curves.csv")
    assert kept["mean"].tolist() == pytest.approx(pd.read_csv(tmp_path / "curves.csv")["mean"].tolist())
