"""The libraries that training needs, loaded at once."""

from functools import cache

from training.importing import importing


@cache
def load() -> None:
    """Load them, once per process, before its first arm or its first part of the scoring pass."""
    with importing():
        from training import arm, evaluate, heldout_curve, layout_check  # noqa: F401
