"""Durations for people to read."""


def time_span(seconds: float) -> str:
    """Return a duration in the unit that suits it: `40 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
