"""Learning curves: A minus B by step and between two steps."""

import numpy as np
import pandas as pd
import pytest

from stats.errors import TableError
from stats.evidence.curves import between, by_step, learning_curves
from stats.evidence.options import Options


def curves(values: dict[tuple[int, str, int], float], metric: str = "accuracy") -> pd.DataFrame:
    rows = [("s", "dpo", "S", seed, arm, step, metric, value) for (seed, arm, step), value in values.items()]
    return pd.DataFrame(rows, columns=["study", "method", "split", "seed", "arm", "step", "metric", "value"])


TABLE = curves(
    {
        (seed, arm, step): 0.5 + (arm == "A") * (0.1 * step / 100 + 0.01 * seed)
        for seed in (1, 2, 3)
        for arm in "AB"
        for step in (0, 100, 200, 300)
    }
)


def test_by_step_is_the_mean_over_seeds_in_percentage_points() -> None:
    result = by_step(TABLE, "accuracy", 0.95).set_index("step")
    assert result["mean"].to_dict() == pytest.approx({0: 2.0, 100: 12.0, 200: 22.0, 300: 32.0})
    assert (result["n_seeds"] == 3).all()
    assert ((result["low"] < result["mean"]) & (result["mean"] < result["high"])).all()


def test_between_averages_each_seed_first_and_includes_both_ends() -> None:
    result = between(TABLE, "accuracy", (100, 200), 0.95).iloc[0]
    assert (result["points"], result["n_seeds"]) == (2, 3)
    assert result["mean"] == pytest.approx(17.0)
    # The three seeds differ by 1 pp: t with two degrees of freedom.
    assert result["high"] - result["mean"] == pytest.approx(4.3027 / np.sqrt(3), rel=1e-3)


def test_a_window_without_points_has_a_note_and_no_mean() -> None:
    result = between(TABLE, "accuracy", (2000, 3000), 0.95).iloc[0]
    assert np.isnan(result["mean"])
    assert result["note"] == "no logged step between 2000 and 3000"


def test_steps_that_one_arm_lacks_are_left_out() -> None:
    partial = TABLE[~((TABLE["arm"] == "B") & (TABLE["step"] == 300))]
    assert by_step(partial, "accuracy", 0.95)["step"].max() == 200
    assert by_step(TABLE[TABLE["arm"] == "A"], "accuracy", 0.95).empty


def test_a_point_without_a_number_or_twice_is_named() -> None:
    broken = TABLE.assign(value=TABLE["value"].where(TABLE.index != 3))
    with pytest.raises(TableError, match=r"seed 1, arm A, step 300 has no number as its accuracy"):
        by_step(broken, "accuracy", 0.95)
    with pytest.raises(TableError, match="appears twice"):
        between(pd.concat([TABLE, TABLE.head(1)]), "accuracy", (0, 300), 0.95)


def test_the_held_out_curve_is_apart_from_that_of_the_training_batches() -> None:
    held_out = TABLE.assign(metric="heldout_accuracy", value=1 - TABLE["value"])
    result = learning_curves(pd.concat([TABLE, held_out]), Options())
    assert result.by_step.set_index("step")["mean"][300] == pytest.approx(32.0)
    assert result.heldout.set_index("step")["mean"][300] == pytest.approx(-32.0)
    assert "held-out users" in result.heldout["captures"].iloc[0]
    assert learning_curves(TABLE, Options()).heldout.empty
