"""Bars on the terminal while a report is read, judged and drawn. What a command prints stays as it is."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
NAME = TextColumn("{task.description}")


def with_bar(items: Iterable[Item], total: int, title: str, console: Console | None = None) -> Iterator[Item]:
    """Yield the items. On a terminal, a bar shows how many of `total` they are; it goes when they end.

    Args:
        console: Where the bar is; None takes stderr.
    """
    if (console := _drawable(console)) is None:
        yield from items
        return
    columns = NAME, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=title)


@contextmanager
def bar_while(title: str, console: Console | None = None) -> Iterator[None]:
    """On a terminal, show a moving bar and the time that the block has taken; it goes when the block ends.

    Args:
        console: Where the bar is; None takes stderr.
    """
    if (console := _drawable(console)) is None:
        yield
        return
    with Progress(NAME, BarColumn(), TimeElapsedColumn(), console=console, transient=True) as progress:
        progress.add_task(title, total=None)
        yield


def _drawable(console: Console | None) -> Console | None:
    """Return the console of a bar; None if it cannot redraw a line."""
    console = console or Console(stderr=True)
    return console if console.is_terminal and not console.is_dumb_terminal else None
