"""What a probe says of an arm it did not train."""

import pytest

from orchestrator.run.probe import STEPS, WARM, pace


def test_the_pace_of_warm_steps_tells_a_long_arm_of_the_same_kind() -> None:
    around, step, pair, warm_up = 3.0, 0.5, 0.125, 7.0  # seconds
    ended = [warm_up + step * number for number in range(1, STEPS + 1)]
    ended[: WARM - 1] = [time / 2 for time in ended[: WARM - 1]]  # whatever came before
    probed = pace(ended, around + STEPS * step + 64 * pair, 64 * pair, 64)
    assert probed.arm(800, 1000) == pytest.approx(around + 800 * step + 1000 * pair)
