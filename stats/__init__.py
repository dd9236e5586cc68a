"""Judge preference-tuning studies from tables: for notebooks, without Ray, MLflow or torch.

    judge            held-out outcomes -> estimates, intervals and what they support
    judge_published  diffs by seed -> the published rule's verdicts and changes
    power            the smallest diff that a number of seeds detects, or the seeds that a diff needs
    ordered_logit    which traits predict how far apart people rate two answers
    PublishedRule    thresholds of the published rule
    TableError       a table that cannot be judged; the message names the row

Tables are pandas data frames. Each function's docstring states its columns and units, with an example;
docs/statistics.md explains the methods. The packages behind them are `stats.rule`, `stats.evidence`,
`stats.survey` and `stats.page`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stats.errors import TableError
    from stats.notebook import judge, judge_published, power
    from stats.rule.thresholds import PublishedRule
    from stats.survey.ordered_logit import ordered_logit

__all__ = ["PublishedRule", "TableError", "judge", "judge_published", "ordered_logit", "power"]

_HOMES = {
    "PublishedRule": "stats.rule.thresholds",
    "TableError": "stats.errors",
    "judge": "stats.notebook",
    "judge_published": "stats.notebook",
    "ordered_logit": "stats.survey.ordered_logit",
    "power": "stats.notebook",
}


def __getattr__(name: str) -> object:
    """Import a function on first use (PEP 562), so that importing `stats` loads no pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
