"""Moments in a chaos study at which a fault may strike."""

import os
import signal
from collections.abc import Callable

from fake_study import FAKE_ARM_STEPS, Setting, journal_entries


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def has_made(setting: Setting, steps: int) -> Callable[[], bool]:
    """Return a condition: the study has made so many steps."""
    return lambda: len(journal_entries(setting)) >= steps


def mid_arm(setting: Setting) -> int | None:
    """Return the process of the cell that made the newest step, if it is in the middle of its first arm."""
    entries = journal_entries(setting)
    if entries and entries[-1].arm == "A" and 2 < entries[-1].step < FAKE_ARM_STEPS:
        return entries[-1].pid
    return None


def between_arms(setting: Setting) -> int | None:
    """Return the process of the cell that made the newest step, if this ended its first arm."""
    entries = journal_entries(setting)
    return (
        entries[-1].pid if entries and (entries[-1].arm, entries[-1].step) == ("A", FAKE_ARM_STEPS) else None
    )
