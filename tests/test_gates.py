"""Validity gates name each failure, and nothing else."""

from math import log
from typing import Any

import pandas as pd
import pytest

from stats.evidence.gates import gates
from stats.evidence.options import Options
from stats.names import BASELINE


def cell(method: str = "dpo", split: str = "S", seed: int = 1, **changed: Any) -> dict[str, Any]:
    arms = {
        f"{arm}/{name}": value
        for arm in "AB"
        for name, value in {
            "loss_step0": log(2),
            "margin_tail": 0.8,
            "pairs_seen": 480.0,
            "tokens_seen": 5000.0,
        }.items()
    }
    identity = {"study": "s", "method": method, "split": split, "seed": seed, "status": "finished"}
    where = {"geometry": "cpu x1", "data_fingerprint": "abc"}
    return {**identity, **where, **arms, **changed}


def check(*cells: dict[str, Any]) -> pd.DataFrame:
    return gates(pd.DataFrame(cells), "dpo", Options())


def test_a_sound_cell_passes() -> None:
    results = check(cell(), cell("wpo"))
    assert results["passed"].all()
    assert (results[["step0", "moved", "balance", "same_run"]] == "ok").all(axis=None)


@pytest.mark.parametrize(
    ("changed", "gate", "reason"),
    [
        ({"A/loss_step0": 0.5}, "step0", "0.5000, not log 2"),
        ({"B/loss_step0": float("nan")}, "step0", "B/loss_step0 is not recorded"),
        ({"B/margin_tail": 0.0}, "moved", "arm B did not move"),
        ({"A/margin_tail": -1e-4}, "moved", "arm A did not move"),
        ({"A/pairs_seen": 472.0}, "balance", "pairs_seen: A 472, B 480"),
        ({"A/tokens_seen": 9000.0}, "balance", "tokens_seen"),
        ({"geometry": "cuda x8"}, "same_run", "cuda x8, the reference cpu x1"),
        ({"data_fingerprint": "xyz"}, "same_run", "data_fingerprint: xyz"),
    ],
)
def test_a_failure_is_named_and_fails_that_gate_only(changed: dict[str, Any], gate: str, reason: str) -> None:
    results = check(cell(seed=1), cell(seed=2), cell("wpo", **changed)).set_index("method").loc["wpo"]
    assert reason in results[gate]
    assert not results["passed"]
    assert (results[["step0", "moved", "balance", "same_run"]] != "ok").sum() == 1


def test_an_arm_may_move_either_way() -> None:
    assert check(cell(**{"A/margin_tail": -2.0}))["passed"].all()


def test_the_odd_one_out_among_the_references_own_cells_fails() -> None:
    results = check(cell(seed=1), cell(seed=2), cell(seed=3, geometry="cuda x8")).set_index("seed")
    assert results["passed"].to_dict() == {1: True, 2: True, 3: False}


def test_only_finished_cells_with_two_arms_are_checked() -> None:
    cells = [
        cell(split="baseline"),
        cell(seed=2, status="missing"),
        cell(seed=3, status="published"),
        cell(seed=4),
    ]
    assert check(*cells)["seed"].tolist() == [4]


@pytest.mark.parametrize(
    ("commits", "reason"),
    [
        (("a1", "a1", "a1"), "ok"),
        (("", "", ""), "ok"),
        (("A: a1; B: b2", "a1", "a1"), "model_commit: not one, but A: a1; B: b2"),
        (("a1", "b2", "a1"), "model_commit: a1, its baseline b2"),
        (("b2", "b2", "a1"), "model_commit: b2, most cells a1"),
    ],
)
def test_a_model_of_another_commit_is_found(commits: tuple[str, str, str], reason: str) -> None:
    """A hub's branch moves; with a cache that was lost, later cells would have another model."""
    own, baseline, others = commits
    rest = [cell(seed=seed, split=split, model_commit=others) for seed in (7, 8, 9) for split in ("S1", "S2")]
    results = check(
        cell(seed=1, split="S1", model_commit=own), cell(seed=1, split=BASELINE, model_commit=baseline), *rest
    )
    assert results.set_index(["split", "seed"]).loc[("S1", 1), "same_run"] == reason
    assert (results.loc[results["seed"] != 1, "same_run"] == "ok").all()
