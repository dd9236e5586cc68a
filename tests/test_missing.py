"""What is missing: intervals that hold whatever it was, and added seeds that count once they have numbers."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from stats.compare import compare
from stats.evidence.beforehand import DivergedCells, MissingRule
from stats.evidence.contrasts import ACCURACY
from stats.evidence.estimate import BOTH, Estimate, Part
from stats.evidence.missing import Planned
from stats.evidence.quantity import quantities
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums
from tests.finished_study import QUICK_OPTIONS, SPLIT_PREDICTIONS, finished_tables

pytestmark = pytest.mark.usefixtures("without_figures")

BOUND = replace(QUICK_OPTIONS, missing=MissingRule.BOUND)


def comparison(cells: pd.DataFrame, outcomes: pd.DataFrame, **options: object):  # type: ignore[no-untyped-def]
    chosen = replace(QUICK_OPTIONS, **options)  # type: ignore[arg-type]
    return compare(cells, SPLIT_PREDICTIONS, "dpo", sums=user_sums(outcomes), options=chosen)


def without(cells: pd.DataFrame, **labels: object) -> pd.DataFrame:
    """Return the cells, one of which has not finished."""
    gone = pd.concat([cells[name] == value for name, value in labels.items()], axis=1).all(axis=1)
    assert gone.any()
    table = cells.copy()
    table.loc[gone, "status"] = "missing"
    metrics = [name for name in table if "/" in str(name)]
    table.loc[gone, metrics] = np.nan
    return table


@pytest.mark.parametrize("slack", [0.5, 3.0, 40.0])
@pytest.mark.parametrize("end", [-1, 1])
def test_an_interval_with_slack_holds_a_truth_at_either_end(slack: float, end: int) -> None:
    """Draws estimates around what is estimated, with the truth `slack` away, as Imbens & Manski assume."""
    rng, truth, level, studies = np.random.default_rng(3), 5.0, 0.9, 20_000
    of = Estimate(0.0, (Part(1.0, 1e6), Part(0.5, 1e6)), BOTH, slack=slack)
    half = of.interval(level)
    assert half is not None
    drawn = truth + end * slack + rng.normal(0, 1.5**0.5, studies)
    held = np.abs(drawn - truth) <= half[1]
    assert held.mean() == pytest.approx(level, abs=0.01)


def test_without_slack_nothing_changes_and_p_is_the_interval_s_level() -> None:
    plain = Estimate(7.0, (Part(4.0, 4.0), Part(1.0, 60.0)), BOTH)
    tiny = replace(plain, slack=1e-9)
    assert tiny.interval(0.95) == pytest.approx(plain.interval(0.95), abs=1e-6)
    wide = replace(plain, slack=2.0)
    assert wide.p is not None
    assert plain.p is not None
    assert wide.p > plain.p
    low, _ = wide.interval(1 - wide.p) or (np.nan, np.nan)
    assert low == pytest.approx(0, abs=1e-6)
    assert replace(plain, slack=8.0).p == 1.0


def test_bounds_hold_every_way_in_which_missing_pairs_and_seeds_could_have_come_out() -> None:
    """Fills what is missing with every extreme, by an independent formula over raw accuracies."""
    truth = SimulatedStudy(4, 12, 3, accuracy_a=0.8, accuracy_b=0.6)
    outcomes = simulated_outcomes(truth, np.random.default_rng(5)).assign(study="s")
    unscored = {"A": 5.0, "B": 2.0}
    planned = {("s", "dpo", "S"): Planned(frozenset(range(5)), unscored)}
    sums = user_sums(outcomes)
    (diff,), _ = quantities(sums, {"S": "A > B"}, "dpo", ACCURACY, planned=planned)
    own = outcomes[outcomes["arm"] == outcomes["eval_group"]]
    right = own.groupby(["seed", "arm"])["correct"].sum().unstack()
    scored = own[own["seed"] == 0].groupby("arm").size()
    ends = []
    for a, b, last in product((0.0, unscored["A"]), (0.0, unscored["B"]), (-100.0, 100.0)):
        seeds = 100 * (
            (right["A"] + a) / (scored["A"] + unscored["A"])
            - (right["B"] + b) / (scored["B"] + unscored["B"])
        )
        ends.append(float((seeds.sum() + last) / 5))
    of = diff.estimate
    assert of.value - of.slack == pytest.approx(min(ends))
    assert of.value + of.slack == pytest.approx(max(ends))


def test_a_split_with_a_missing_cell_keeps_a_wider_verdict_only_if_the_study_asks_for_it() -> None:
    cells, outcomes, _ = finished_tables()
    whole = comparison(cells, outcomes)
    gone = without(cells, method="wpo", split="S1", seed=2)
    rest = outcomes[~((outcomes["method"] == "wpo") & (outcomes["split"] == "S1") & (outcomes["seed"] == 2))]
    required, bounded = comparison(gone, rest), comparison(gone, rest, missing=MissingRule.BOUND)
    key = ("wpo", "S1")

    def row(table: pd.DataFrame) -> pd.Series:
        return table.set_index(["method", "split"]).loc[key]

    assert row(required.published.verdicts)["verdict"] == "INCOMPLETE"
    assert row(bounded.published.verdicts)["verdict"] == row(whole.published.verdicts)["verdict"]
    assert required.heldout is not None
    assert bounded.heldout is not None
    assert whole.heldout is not None
    assert key not in set(zip(required.heldout.diffs["method"], required.heldout.diffs["split"], strict=True))
    wide, narrow = row(bounded.heldout.diffs), row(whole.heldout.diffs)
    # one of three seeds is missing, and its diff lies between -100 and +100 pp
    assert wide["high"] - wide["low"] > 2 * 100 / 3
    assert wide["low"] < narrow["low"]
    assert narrow["high"] < wide["high"]
    others = bounded.heldout.diffs.query("method == 'dpo'")["estimate"].tolist()
    assert others == whole.heldout.diffs.query("method == 'dpo'")["estimate"].tolist()


def test_a_cell_of_an_added_seed_counts_once_it_has_numbers() -> None:
    cells, outcomes, _ = finished_tables()
    before = comparison(cells[cells["seed"] < 2], outcomes[outcomes["seed"] < 2])
    added = without(cells, method="wpo", split="S2", seed=2).assign(added=lambda table: table["seed"] == 2)
    interrupted = comparison(added, outcomes)
    key = ("wpo", "S2")
    verdicts, wanted = (
        table.published.verdicts.set_index(["method", "split"]) for table in (interrupted, before)
    )
    pd.testing.assert_series_equal(verdicts.loc[key], wanted.loc[key])
    assert (verdicts.drop(index=[key])["n_seeds"] == 3).all()
    assert interrupted.heldout is not None
    seeds = interrupted.heldout.diffs.set_index(["method", "split"])["n_seeds"]
    assert seeds.loc[key] == 2
    assert (seeds.drop(index=[key]) == 3).all()
    assert interrupted.cells.left_out[["method", "split", "seed"]].to_numpy().tolist() == [["wpo", "S2", 2]]
    # the same hole in a seed of the first plan takes the verdict, as before
    first = comparison(added.assign(added=False), outcomes).published.verdicts
    assert first.set_index(["method", "split"]).loc[key, "verdict"] == "INCOMPLETE"


def test_a_diverged_cell_counts_as_the_study_said_beforehand() -> None:
    cells, outcomes, _ = finished_tables()
    cells = cells.copy()
    one = (cells["method"] == "wpo") & (cells["split"] == "S1") & (cells["seed"] == 0)
    cells.loc[one, "A/loss_tail"] = 3 * cells.loc[one, "A/loss_step0"]
    kept = comparison(cells, outcomes)
    gone = comparison(cells, outcomes, diverged=DivergedCells.AS_MISSING)
    assert kept.cells.diverged[["method", "split", "seed"]].to_numpy().tolist() == [["wpo", "S1", 0]]
    verdict = {
        name: of.published.verdicts.set_index(["method", "split"]).loc[("wpo", "S1"), "verdict"]
        for name, of in (("kept", kept), ("gone", gone))
    }
    assert verdict["kept"] != "INCOMPLETE"
    assert verdict["gone"] == "INCOMPLETE"
