"""The longest files run first, so that two workers of `pytest -n 2` end at about the same time."""

import pytest

LONGEST = ("test_sweep", "test_schedule", "test_adaptive_sweep", "test_job")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of LONGEST to the front, in its order; pytest calls this after collection."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))
