"""What a probe's short arm says about a longer one."""

import pytest

from orchestrator.run.probe import PROBE_STEPS, PROBE_WARM_UP_STEPS, pace_of


def test_the_pace_of_warm_steps_predicts_a_long_arm_of_the_same_kind() -> None:
    outside_steps, step, pair, warm_up = 3.0, 0.5, 0.125, 7.0  # seconds
    step_ends = [warm_up + step * number for number in range(1, PROBE_STEPS + 1)]
    step_ends[: PROBE_WARM_UP_STEPS - 1] = [
        end / 2 for end in step_ends[: PROBE_WARM_UP_STEPS - 1]
    ]  # of no influence
    pace = pace_of(step_ends, outside_steps + PROBE_STEPS * step + 64 * pair, 64 * pair, 64)
    assert pace.arm_seconds(800, 1000) == pytest.approx(outside_steps + 800 * step + 1000 * pair)
