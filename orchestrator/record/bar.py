"""A bar on the terminal while the cells of a report are read."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def with_bar(items: Iterable[Item], total: int, title: str, console: Console | None = None) -> Iterator[Item]:
    """Yield the items. On a terminal, a bar shows how many of `total` they are; it goes when they end.

    Args:
        console: Where the bar is; None takes stderr, so that what a command prints stays as it is.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield from items
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=title)
