"""Random halves of the users as controls: they are planned beside the splits, and counted as errors."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.study import grid
from orchestrator.study.study import Study
from stats.compare import compare
from stats.comparison import Comparison
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums
from stats.status import CellStatus
from tests.finished_study import QUICK_OPTIONS

pytestmark = pytest.mark.usefixtures("without_figures")

FIELDS: dict[str, Any] = {
    "study": "c",
    "splits": {"S": {"by": "random", "predicted": "A > B"}},
    "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
    "seeds": [1, 2],
    "controls": {"random_halves": 3},
}


def test_every_method_gets_every_half_with_every_seed() -> None:
    study = Study.model_validate(FIELDS)
    halves = [trial for trial in grid.expand(study) if trial.split.startswith("random-half-")]
    assert len(halves) == 2 * 3 * 2
    assert len({str(trial.groups) for trial in halves}) == 3
    without = Study.model_validate({**FIELDS, "controls": {}})
    kept = {trial.trial_id for trial in grid.expand(study)}
    assert {trial.trial_id for trial in grid.expand(without)} < kept  # controls change no other cell
    with pytest.raises(ValueError, match="random-half-1"):
        Study.model_validate({**FIELDS, "splits": {"random-half-1": FIELDS["splits"]["S"]}})


def compared(halves: int, differ: bool, seed: int) -> Comparison:
    """Compare a study with one split and `halves` controls, whose arms differ or not."""
    rng = np.random.default_rng(seed)
    cells, tables = [], []
    for split in ["S", *(f"random-half-{n}" for n in range(halves))]:
        a, b = (0.9, 0.5) if differ or split == "S" else (0.7, 0.7)
        truth = SimulatedStudy(3, 30, 5, accuracy_a=a, accuracy_b=b)
        of_dpo = simulated_outcomes(truth, rng, "dpo", split).assign(study="s")
        flips = np.where(rng.random(len(of_dpo)) < 0.1, -1, 1)
        of_wpo = of_dpo.assign(method="wpo", margin=lambda table: table["margin"] * flips)  # noqa: B023
        for table in (of_dpo, of_wpo.assign(correct=of_wpo["margin"] > 0)):
            method = table["method"].iloc[0]
            tables.append(table)
            for number in range(3):
                own = table[(table["seed"] == number) & (table["arm"] == table["eval_group"])]
                accuracy = own.groupby("arm")["correct"].mean()
                diff = accuracy["A"] - accuracy["B"]
                metrics = {"diff/pref_acc_tail": diff, "diff/pref_acc_heldout": diff}
                status = {"status": CellStatus.FINISHED, "error": None, "control": split != "S"}
                labels = {"study": "s", "method": method, "split": split, "seed": number}
                trained = {"geometry": "g", "data_fingerprint": "d"}
                for arm in "AB":
                    trained |= {f"{arm}/loss_step0": np.log(2), f"{arm}/margin_tail": 1.0}
                    trained |= {f"{arm}/pairs_seen": 10.0, f"{arm}/tokens_seen": 10.0}
                cells.append(labels | status | metrics | trained)
    predictions = pd.DataFrame(
        [("s", split, "A > B" if split == "S" else "exploratory") for split in {c["split"] for c in cells}],
        columns=["study", "split", "predicted"],
    )
    sums = user_sums(pd.concat(tables))
    return compare(pd.DataFrame(cells), predictions, "dpo", sums=sums, options=QUICK_OPTIONS)


def test_a_claim_in_a_half_is_an_error_and_controls_stay_out_of_the_study_s_tables() -> None:
    null, wrong = compared(8, False, 1), compared(8, True, 1)
    for comparison, errors in ((null, range(2)), (wrong, [8])):
        assert comparison.controls is not None
        assert comparison.heldout is not None
        rates = comparison.controls.rates.set_index(["method", "quantity", "claim"])
        assert rates.loc[("dpo", "A minus B", "differs from zero"), "errors"] in errors
        assert (rates["halves"] == 8).all()
        assert set(comparison.heldout.diffs["split"]) == set(comparison.published.verdicts["split"]) == {"S"}
        assert rates.loc["dpo"].loc["verdict", "errors"].sum() == 8
        assert (rates["seeds"] == 3).all()
        single = rates.loc[("dpo", "A minus B", "95% interval without zero"), "errors"]
        assert single >= rates.loc[("dpo", "A minus B", "differs from zero"), "errors"]
        advantage = rates.loc[("wpo", "own-group advantage", "95% interval without zero"), "errors"]
        assert advantage in range(3)  # the arms differ, but neither serves its own group better
    assert null.controls is not None
    assert wrong.controls is not None
    ranks = null.controls.ranks.set_index(["method", "quantity"])
    assert ranks.loc[("dpo", "A minus B"), "p_control"] == pytest.approx(1 / 9)
    assert (
        (wrong.controls.ranks.set_index(["method", "quantity"]).loc[("dpo", "A minus B"), "p_control"])
        > 1 / 9
    )
    assert compared(0, False, 1).controls is None


def test_an_adaptive_study_cannot_be_bounded() -> None:
    seeds = {"start": 2, "max": 4, "until": "resolved"}
    with pytest.raises(ValueError, match="missing"):
        Study.model_validate({**FIELDS, "seeds": seeds, "missing": "bound"})
