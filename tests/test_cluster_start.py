"""A Ray that does not start is tried again, and then answered in one line."""

import pytest

from orchestrator.run import cluster
from training.errors import StudyError


def test_a_machine_too_busy_for_ray_is_told_after_several_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def slow(**options: object) -> None:
        tries.append(options)
        raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster.ray, "init", slow)
    with pytest.raises(StudyError, match=r"Ray: not started after 3 times .* RAY_ADDRESS"), cluster.cluster():
        pass
    assert len(tries) == 3
