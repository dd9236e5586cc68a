"""Canonical JSON: equal values give the same text, whatever the order of their keys."""

import json
import math
from typing import Any


def canonical(value: Any) -> str:
    """Return a value as canonical JSON: sorted keys, no spaces, no NaN.

    Raises:
        TypeError: The value has no canonical form (a set, a float that is not finite, an object).
    """
    _refuse_unstable(value, "trial")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _refuse_unstable(value: Any, place: str) -> None:
    """Raise TypeError for a value, or a part of it, that has no canonical form."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place}: key {key!r} is not a string, so the trial has no canonical form")
            _refuse_unstable(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _refuse_unstable(item, f"{place}[{position}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{place}: {value!r} has no canonical form")
    elif not isinstance(value, str | int | bool | None):
        raise TypeError(f"{place}: a {type(value).__name__} has no canonical form")
