"""Suggest a valid name to somebody who wrote one that does not exist."""

import difflib
from collections.abc import Iterable


def suggestion(wrong: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: the nearest valid name, if one is near, and all valid names."""
    names = sorted(valid)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}valid: {', '.join(names)}"
