"""Numbers that no difference between accuracies has are neither printed, drawn nor put into the record."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from orchestrator.record.verdict_runs import verdict_rows
from stats.comparison import Comparison
from stats.page import report
from stats.page.page import Page
from stats.page.plots.split_axis import draw_intervals
from stats.page.words import Words
from tests.finished_study import study_tables


@pytest.fixture(scope="module")
def hardly_known() -> Comparison:
    """One split with two seeds that disagree by far, so that nothing is known about the spread over seeds."""
    tables = study_tables(seeds=2)
    cells = tables.cells[tables.cells["split"].isin(["S1", "baseline"])]
    outcomes = tables.outcomes[tables.outcomes["split"] == "S1"].copy()
    flipped = (outcomes["seed"] == 0) & (outcomes["arm"] == "B")
    flipped &= np.random.default_rng(0).random(len(outcomes)) < 0.6
    outcomes.loc[flipped, "margin"] = -1.0
    outcomes["correct"] = outcomes["margin"] > 0
    return tables._replace(cells=cells, outcomes=outcomes).compare()


def test_a_page_prints_no_interval_that_says_nothing_yet(hardly_known: Comparison) -> None:
    assert hardly_known.heldout is not None
    assert hardly_known.heldout.diffs["high"].max() > 200
    page = report.render(hardly_known, {"study": "s"}, False, Page(Words(), {}))
    assert "none yet" in page
    for line in page.splitlines():
        if "nats" not in line:
            for low, high in re.findall(r"\[([-+][\d.]+), ([-+][\d.]+)\]", line):
                assert max(-float(low), float(high)) <= 100 or float(low) > 0 or float(high) < 0, line


def test_the_record_keeps_the_estimate_without_such_an_interval(hardly_known: Comparison) -> None:
    (row,) = (row for row in verdict_rows(hardly_known) if row.method == "dpo")
    assert {"seeds", "diff/pp"} == set(row.metrics)


def test_a_figure_keeps_its_scale_beside_such_an_interval() -> None:
    rows = pd.DataFrame({"estimate": [2.0, 3.0], "low": [-33_038.0, 1.0], "high": [33_042.0, 5.0]})
    ax = Figure().subplots()
    draw_intervals(ax, rows, [0.0, 1.0], 0, "dpo")
    low, high = ax.get_xlim()
    assert low > -10
    assert high < 10
