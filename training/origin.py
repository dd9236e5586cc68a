"""What made an arm, by name: geometry, versions and the like. A resumed arm may have several in turn."""

from collections.abc import Mapping

THEN = ", then "


def in_turn(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the origin of an arm that was resumed: `old, then new` where the two differ.

    Args:
        before: What made the checkpoint.
        now: What goes on from it.
    """
    origin = {}
    for name, value in now.items():
        earlier = before.get(name, "unknown")
        origin[name] = earlier if values(earlier)[-1] == value else f"{earlier}{THEN}{value}"
    return origin


def values(value: str) -> list[str]:
    """Return the values that `in_turn` joined, oldest first."""
    return value.split(THEN)
