"""Some methods and splits of a comparison, with the numbers that they have in the whole."""

from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pandas as pd

from stats.comparison import Comparison

MethodSplits = Collection[tuple[str, str]]


@dataclass(frozen=True)
class Selected(Comparison):
    """A comparison of which some methods and splits are shown.

    Nothing is judged again. The estimates, the labels and the families of tests are those of `whole`, so that
    whoever looks at fewer splits sees no stronger words.
    """

    whole: Comparison | None = None
    shown: frozenset[tuple[str, str]] = frozenset()

    @property
    def labels(self) -> pd.DataFrame:
        return _rows(self._of_whole.labels, self.shown)

    @property
    def change_labels(self) -> pd.DataFrame:
        return _rows(self._of_whole.change_labels, self.shown)

    @property
    def _of_whole(self) -> Comparison:
        assert self.whole is not None
        return self.whole


def selected(comparison: Comparison, shown: MethodSplits) -> Selected:
    """Return a comparison of which only these (method, split) are shown.

    Tables without methods, such as the power of a design, stay whole; those without splits keep the methods.
    """
    values = {field.name: _within(getattr(comparison, field.name), shown) for field in fields(comparison)}
    return Selected(**values, whole=comparison, shown=frozenset(shown))


def _within(value: Any, shown: MethodSplits) -> Any:
    """Return a table, or a value that holds tables, with the rows of these methods and splits."""
    if isinstance(value, pd.DataFrame):
        return _rows(value, shown)
    if is_dataclass(value) and not isinstance(value, type):
        tables = {field.name: getattr(value, field.name) for field in fields(value)}
        found = {name: _rows(t, shown) for name, t in tables.items() if isinstance(t, pd.DataFrame)}
        return replace(value, **found) if found else value
    return value


def _rows(table: pd.DataFrame, shown: MethodSplits) -> pd.DataFrame:
    if "method" not in table:
        return table
    if "split" not in table:
        return table[table["method"].isin({method for method, _ in shown})].reset_index(drop=True)
    keys = zip(table["method"], table["split"], strict=True)
    return table.loc[[key in shown for key in keys]].reset_index(drop=True)  # `[]` would take all columns
