"""Comparison and report: whole, partial, failing and tiny studies; published tables; the same bytes twice."""

import re
from datetime import date
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from stats.comparison import Comparison, compare, compare_published
from stats.errors import TableError
from stats.evidence.options import Options
from stats.evidence.simulate import Truth, outcomes
from stats.evidence.sums import user_sums
from stats.page import report
from stats.page.page import Page
from stats.page.published_report import published_report
from stats.page.words import Words
from stats.rule.published import read, restore

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"
PREDICTIONS = pd.DataFrame(
    [("s", "S1", "A > B"), ("s", "S2", "A = B"), ("s", "S3", "exploratory")],
    columns=["study", "split", "predicted"],
)
OPTIONS = Options(draws=200, tail_pairs=128, window=(10, 30))
ACCURACY = {"S1": (0.85, 0.6), "S2": (0.7, 0.7), "S3": (0.7, 0.65)}


def study(seeds: int = 3, methods: tuple[str, ...] = ("dpo", "wpo")) -> tuple[pd.DataFrame, ...]:
    """Cells, outcomes and curves of a finished study."""
    rng = np.random.default_rng(0)
    tables, cells, curves = [], [], []
    for method in methods:
        for seed in range(seeds):
            cells.append({**_identity(method, "baseline", seed), "all/pref_acc_tail": 0.7})
        for split, (a, b) in ACCURACY.items():
            truth = Truth(seeds, 25, 4, accuracy_a=a, accuracy_b=b)
            table = outcomes(truth, np.random.default_rng(len(split) + ord(split[1])), method, split)
            tables.append(table.assign(study="s"))
            for seed in range(seeds):
                cells.append({**_identity(method, split, seed), **_metrics(a, b, rng)})
                for step in (10, 20, 30):
                    for arm, value in (("A", a), ("B", b)):
                        curves.append(
                            ("s", method, split, seed, arm, step, "accuracy", value + rng.normal(0, 0.02))
                        )
    names = ["study", "method", "split", "seed", "arm", "step", "metric", "value"]
    return pd.DataFrame(cells), pd.concat(tables, ignore_index=True), pd.DataFrame(curves, columns=names)


def _identity(method: str, split: str, seed: int) -> dict[str, Any]:
    return {
        "study": "s",
        "method": method,
        "split": split,
        "seed": seed,
        "trial_id": f"{method}{split}{seed}",
        "status": "finished",
        "error": None,
        "geometry": "cpu x1",
        "data_fingerprint": "abc",
    }


def _metrics(a: float, b: float, rng: np.random.Generator) -> dict[str, float]:
    a, b = (rng.binomial(128, share) / 128 for share in (a, b))
    arms = {"loss_step0": log(2), "margin_tail": 0.5, "pairs_seen": 480.0, "tokens_seen": 5000.0}
    both = {f"{arm}/{name}": value for arm in "AB" for name, value in arms.items()}
    accuracies = {"A/pref_acc_tail": a, "B/pref_acc_tail": b, "A/steps_to_60pct": 20.0}
    return {**both, **accuracies, "diff/pref_acc_tail": a - b, "diff/pref_acc_heldout": a - b}


def compared(cells: pd.DataFrame, table: pd.DataFrame, curves: pd.DataFrame) -> Comparison:
    return compare(cells, PREDICTIONS, "dpo", sums=user_sums(table), curves=curves, options=OPTIONS)


def text(comparison: Comparison) -> str:
    return report.render(comparison, {"study": "s"}, False, Page(Words(), {}))


def body(page: str) -> str:
    """A page without its front matter."""
    return page.split("\n---\n\n", 1)[1]


def test_a_finished_study_shows_labels_and_evidence_side_by_side(tmp_path: Path) -> None:
    comparison = compared(*study())
    labels = comparison.labels.set_index(["method", "split"])
    assert labels.loc[("dpo", "S1"), ["verdict", "evidence", "carried"]].tolist() == [
        "MATCH",
        "supported",
        "yes",
    ]
    assert labels.loc[("dpo", "S2"), "carried"] == "no"  # OK is printed, but 3 seeds cannot show a null
    assert labels.loc[("dpo", "S3"), "verdict"] is None
    page = report.write(comparison, {"study": "s"}, True, tmp_path).read_text()
    head = body(page).splitlines()[:3]
    assert head[0] == "# s: 24 of 24 cells finished, on generated data"
    assert head[2].startswith("**Generated data**")
    assert "| wpo | mean | 70.00 |" in page
    for figure in ("forest", "changes", "seeds", "curves", "power", "rule"):
        assert f"({figure}.png)" in page
        assert (tmp_path / f"{figure}.png").stat().st_size > 5000
    assert "new seeds and new users" in page
    assert list(pd.read_csv(tmp_path / "changes.csv")) == [
        "split",
        "reference_verdict",
        "method_verdict",
        "change",
    ]
    intervals = pd.read_csv(tmp_path / "intervals.csv")
    assert intervals["captures"].notna().all()
    silent = intervals[intervals["low"].isna() & intervals["note"].isna()]
    assert silent.empty


def test_the_order_is_that_of_the_notes_and_weights_are_what_the_arms_saw() -> None:
    cells, *tables = study()
    wpo = (cells["method"] == "wpo") & (cells["split"] == "S1")
    for arm, mean in (("A", [0.2, 0.3, 0.4]), ("B", [0.1, 0.1, 0.1])):
        cells.loc[wpo, f"{arm}/weight_mean"] = mean
        cells.loc[wpo, f"{arm}/weight_min"] = [0.05, 0.03, 0.04]
        cells.loc[wpo, f"{arm}/weight_capped_share"] = 0.25
    page = text(compared(cells, *tables))
    heads = [line for line in page.splitlines() if line.startswith("## ")]
    assert [head.removeprefix("## ").split(" (")[0].split(":")[0] for head in heads] == [
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


def test_front_matter_says_when_and_how_complete(tmp_path: Path) -> None:
    cells, *rest = study()
    cells["ended"] = pd.Timestamp("2026-03-04 23:59", tz="UTC")
    cells.loc[0, "ended"] = pd.Timestamp("2026-03-05 00:01", tz="UTC")
    page = report.write(compared(cells, *rest), {"study": "s"}, True, tmp_path)
    before, facts, _ = page.read_text().split("---\n", 2)
    assert not before
    assert yaml.safe_load(facts) == {
        "title": "s",
        "date": date(2026, 3, 5),
        "status": "completed",
        "tags": ["preference-tuning", "dpo", "wpo", "generated-data"],
    }
    assert "<h1>s: " in page.with_suffix(".html").read_text()
    assert "preference-tuning" not in page.with_suffix(".html").read_text()
    cells.loc[3, "status"] = "missing"
    assert f"status: incomplete, {len(cells) - 1} of {len(cells)} cells" in text(compared(cells, *rest))


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    tables = study(seeds=2)
    for name in ("one", "two"):
        report.write(compared(*tables), {"study": "s"}, True, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_missing_cell_is_named_and_its_split_has_no_verdict() -> None:
    cells, table, curves = study()
    lost = (cells["method"] == "wpo") & (cells["split"] == "S1") & (cells["seed"] == 2)
    cells.loc[lost, "status"] = "failed"
    cells.loc[lost, "error"] = "OutOfMemoryError: arm B"
    cells.loc[lost, [name for name in cells if "/" in name]] = np.nan
    there = ~((table["method"] == "wpo") & (table["split"] == "S1") & (table["seed"] == 2))
    comparison = compared(cells, table[there], curves)
    verdicts = comparison.verdicts.set_index(["method", "split"])["verdict"]
    assert verdicts["wpo", "S1"] == "INCOMPLETE"
    assert comparison.changes.set_index("split").loc["S1", "change"] == "INCOMPLETE"
    assert not comparison.complete
    page = body(text(comparison))
    assert page.startswith("# s: 23 of 24 cells finished")
    assert "- wpo/S1/2 failed: OutOfMemoryError: arm B" in page


def test_a_split_of_which_nothing_is_there_is_still_shown() -> None:
    cells, table, curves = study(methods=("dpo",))
    cells.loc[cells["split"] == "S2", "status"] = "missing"
    comparison = compared(cells, table[table["split"] != "S2"], curves)
    row = comparison.verdicts.set_index("split").loc["S2"]
    assert (row["verdict"], row["predicted"], row["n_seeds"]) == ("INCOMPLETE", "A = B", 0)
    assert "- dpo/S2/0 missing" in text(comparison)


def test_a_failed_gate_withholds_the_verdict_and_says_why() -> None:
    cells, table, curves = study()
    dead = (cells["method"] == "wpo") & (cells["split"] == "S1") & (cells["seed"] == 1)
    cells.loc[dead, "B/margin_tail"] = 0.0
    comparison = compared(cells, table, curves)
    assert comparison.verdicts.set_index(["method", "split"]).loc[("wpo", "S1"), "verdict"] == "WITHHELD"
    assert comparison.changes.set_index("split").loc["S1", "change"] == "INCOMPLETE"
    assert comparison.heldout is not None
    assert "S1" not in set(comparison.heldout.changes["split"])
    page = text(comparison)
    assert "**Verdicts withheld**: 1 cells failed a validity gate: wpo/S1/1" in page
    assert "arm B did not move" in page


@pytest.mark.parametrize("seeds", [1, 2])
def test_tiny_studies_are_answered(seeds: int) -> None:
    page = text(compared(*study(seeds=seeds)))
    assert "nan" not in page.lower()
    if seeds == 1:
        assert "nothing about other seeds" in page


def test_nothing_finished_yet_is_a_report_too() -> None:
    cells, table, curves = study()
    cells["status"] = "missing"
    comparison = compare(cells, PREDICTIONS, "dpo", sums=user_sums(table.head(0)), curves=curves.head(0))
    assert body(text(comparison)).startswith("# s: 0 of 24 cells finished")
    assert set(comparison.verdicts["verdict"]) == {"INCOMPLETE"}


def test_all_correct_and_all_wrong_have_a_defined_answer() -> None:
    cells, table, curves = study(seeds=2)
    for margin in (1.0, -1.0):
        flat = table.assign(margin=margin, correct=margin > 0)
        comparison = compared(cells, flat, curves)
        assert comparison.heldout is not None
        found = comparison.heldout.diffs
        assert (found["estimate"] == 0).all()
        assert set(found["evidence"]) == {"undecided"}
        assert found["note"].str.contains("no outcome varies").all()
        assert "nan" not in text(comparison).lower()


DEGENERATE = {
    "one split, one seed, one method": [("dpo", "S1", 1, 2.0)],
    "one split, one seed each": [("dpo", "S1", 1, 2.0), ("wpo", "S1", 1, -1.0)],
    "one split": [("dpo", "S1", seed, seed - 1.5) for seed in range(4)] + [("wpo", "S1", 0, 3.0)],
    "a constant diff": [(method, "S1", seed, 3.0) for method in ("dpo", "wpo") for seed in range(3)],
    "all zero": [(method, "S1", seed, 0.0) for method in ("dpo", "wpo") for seed in range(3)],
    "other seeds": [("dpo", "S1", seed, seed * 1.0) for seed in range(3)] + [("wpo", "S1", 9, 1.0)],
    "a split that the reference has not": [("dpo", "S2", 1, 0.5), ("wpo", "S1", 1, 3.0)],
    "exploratory alone": [("dpo", "S3", seed, seed * 1.0) for seed in range(3)],
}


@pytest.mark.parametrize("rows", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_tables_are_answered_and_say_why_a_number_is_not_there(
    rows: list[tuple[object, ...]], tmp_path: Path
) -> None:
    diffs = pd.DataFrame(
        [("s", *row) for row in rows], columns=["study", "method", "split", "seed", "diff_pp"]
    )
    comparison = compare_published(diffs, PREDICTIONS, "dpo")
    assert len(comparison.verdicts) == diffs.groupby(["method", "split"]).ngroups
    for table in (comparison.tail, comparison.tail_changes):
        if len(table):
            gaps = table[["low", "high", "p", "p_holm", "low_adjusted", "p_equivalent"]].isna().any(axis=1)
            assert (table.loc[gaps, "note"] != "").all()
            assert table["estimate"].notna().all()
    page = report.write(comparison, {"study": "s"}, False, tmp_path).read_text()
    assert not re.search(r"\bnan\b|\binf\b", page.lower())


def test_unbalanced_seeds_are_compared_on_what_they_share() -> None:
    cells, table, curves = study()
    keep = ~((cells["method"] == "wpo") & (cells["seed"] > 0))
    rows = ~((table["method"] == "wpo") & (table["seed"] > 0))
    comparison = compared(cells[keep], table[rows], curves)
    assert comparison.heldout is not None
    changes = comparison.heldout.changes
    assert changes["captures"].str.contains("the method has one seed").all()
    assert changes["p"].notna().all()


def test_the_published_report_reproduces_the_published_table(tmp_path: Path) -> None:
    wanted = pd.read_csv(REFERENCE / "v5b_verdicts.csv").set_index("split")
    predictions = wanted.reset_index()[["split", "predicted"]].assign(study="v3")
    published_report(read(REFERENCE / "v5b_diffs.csv"), predictions, "dpo", tmp_path)
    verdicts = pd.read_csv(tmp_path / "verdicts.csv")
    assert list(verdicts) == [
        "study",
        "method",
        "split",
        "predicted",
        "n_seeds",
        "mean_pp",
        "std_pp",
        "direction",
        "x_of_n",
        "verdict",
    ]
    for method in ("dpo", "wpo"):
        rows = verdicts[verdicts["method"] == method].set_index("split").loc[wanted.index]
        assert rows["verdict"].tolist() == wanted[f"{method}_verdict"].tolist()
        assert [f"{x:+.2f}" for x in rows["mean_pp"]] == [f"{x:+.2f}" for x in wanted[f"{method}_diff_pp"]]
    changes = pd.read_csv(tmp_path / "changes.csv")
    assert list(changes) == ["split", "reference_verdict", "method_verdict", "change"]
    assert changes.set_index("split")["change"].loc[wanted.index].tolist() == wanted["change"].tolist()
    page = (tmp_path / "report.md").read_text()
    assert body(page).splitlines()[2].startswith("**Published numbers**")
    assert "0 of 7 means of dpo differ from zero; the smallest p is 0.264" in page
    assert "one more dpo seed holds wpo's mean in 7 of 7 splits" in page
    assert "The published rule prints: 2 FIXED, 1 IMPROVED, 1 STABLE, 3 UNCHANGED." in page
    assert "| wpo | S1_age | 1 | +4.22 | [-5.7, +14.1] | 1.000 | [-10.2, +9.6] | yes |" in page
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
        published_report(diffs, PREDICTIONS, reference, tmp_path)
    with pytest.raises(TableError, match="not readable as a CSV"):
        read(tmp_path / "absent.csv")


def test_another_versions_verdicts_stand_beside_ones_own(tmp_path: Path) -> None:
    comparison = compared(*study())
    report.write(comparison, {"study": "s"}, False, tmp_path / "one")
    other = read(tmp_path / "one" / "verdicts.csv")
    page = report.write(comparison, {"study": "s"}, False, tmp_path / "two", other).read_text()
    judged = comparison.verdicts["verdict"].notna().sum()
    assert f"Same verdict: {judged} of {judged}" in page
    assert pd.read_csv(tmp_path / "two" / "crosscheck.csv")["agree"].all()


def test_a_run_of_ones_own_beside_a_published_reference(tmp_path: Path) -> None:
    """The published seeds have diffs and no outcomes: verdicts and changes stand on the seeds alone."""
    cells, table, curves = study(seeds=1, methods=("wpo",))
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
    comparison = compared(pd.concat([cells, published], ignore_index=True), table, curves)
    assert comparison.complete
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
