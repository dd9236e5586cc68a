"""What a probe's short arms say about longer ones."""

import pytest

from orchestrator.run.probe import PROBE_STEPS, PROBE_WARM_UP_STEPS, TimedArm, pace_of


def test_the_pace_of_warm_steps_predicts_a_long_arm_of_the_same_kind() -> None:
    outside_steps, step, pair, warm_up = 3.0, 0.5, 0.125, 7.0  # seconds
    step_ends = [warm_up + step * number for number in range(1, PROBE_STEPS + 1)]
    step_ends[: PROBE_WARM_UP_STEPS - 1] = [
        end / 2 for end in step_ends[: PROBE_WARM_UP_STEPS - 1]
    ]  # of no influence
    whole = outside_steps + PROBE_STEPS * step + 64 * pair
    pace = pace_of([TimedArm(20.0, step_ends, 20.0 + whole, 64 * pair)], 64)
    assert pace.arm_seconds(800, 1000) == pytest.approx(outside_steps + 800 * step + 1000 * pair)


def test_arms_side_by_side_divide_the_time_of_their_lane() -> None:
    """Each of four arms starts when the one before has made two steps; all score at the end."""
    arms, steps, outside_steps, step, pair = 4, PROBE_STEPS + 4, 2.0, 0.5, 0.125
    shared = []
    first = arms * outside_steps  # all of what is outside of steps comes first
    for number in range(arms):
        step_ends = [first + step * (2 * number + k) for k in range(1, steps + 1)]
        shared.append(TimedArm(0.0, step_ends, step_ends[-1], 64 * pair))
    last = shared[-1].step_ends[-1] + arms * 64 * pair
    shared[-1] = TimedArm(0.0, shared[-1].step_ends, last, 64 * pair)
    waited = 2 * (arms - 1) * step  # in which not all arms train; it counts as outside of steps
    pace = pace_of(shared, 64)
    expected = outside_steps + waited / arms + 800 * step / arms + 1000 * pair
    assert pace.arm_seconds(800, 1000) == pytest.approx(expected)
