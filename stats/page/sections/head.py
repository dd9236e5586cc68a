"""The head of a report: front matter, title, what is missing, and what the labels are worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from stats.comparison import Comparison
from stats.evidence.beforehand import MissingRule
from stats.names import BASELINE
from stats.page.page import Page, title_lines
from stats.page.plan_change import PlanChange
from stats.page.words import Words
from stats.selected import Selected
from stats.status import STATUSES_WITH_NUMBERS, CellStatus


def front_matter(comparison: Comparison, study: str, generated: bool) -> str:
    """Return YAML for a vault of notes.

    The date is that of the newest finished cell, not of this page. Published numbers have none.
    """
    cells = comparison.cells.table
    with_numbers = int(cells["status"].isin(STATUSES_WITH_NUMBERS).sum())
    ended = cells["ended"].max() if "ended" in cells else pd.NaT
    facts: dict[str, Any] = {"title": study}
    if pd.notna(ended):
        facts["date"] = ended.date()
    facts["status"] = (
        "completed" if comparison.cells.complete else f"incomplete, {with_numbers} of {len(cells)} cells"
    )
    methods = list(dict.fromkeys(cells["method"]))
    facts["tags"] = ["preference-tuning", *methods, *(["generated-data"] if generated else [])]
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---"


def head(
    comparison: Comparison,
    setup: Mapping[str, str],
    generated: bool,
    page: Page,
    plan_changes: Sequence[PlanChange] = (),
) -> list[str]:
    """Return the title with N of M, later changes of the plan, missing cells, and how many labels hold."""
    cells, say = comparison.cells.table, page.say
    with_numbers = int(cells["status"].isin(STATUSES_WITH_NUMBERS).sum())
    published = int((cells["status"] == CellStatus.PUBLISHED).sum())
    counts = {"study": setup["study"], "done": with_numbers, "all": len(cells)}
    if published == with_numbers and with_numbers:
        title = say("{study}: {done} of {all} cells published", **counts)
    else:
        title = say("{study}: {done} of {all} cells finished", **counts)
    parts = [*title_lines(title, generated, say), *_selection(comparison, say)]
    parts += [
        say(
            "**The plan was changed after {finished} of {planned} cells**: {keys}. What this report says "
            "under the changed plan is exploratory.",
            finished=change.finished,
            planned=change.planned,
            keys=change.keys,
        )
        for change in plan_changes
    ]
    if published:
        parts.append(
            say(
                "**Published numbers** appear in this report (cells marked `published`: {published}). They "
                "were not run here, and no validity gate checked them.",
                published=published,
            )
        )
    if not comparison.cells.complete:
        bound = comparison.options.missing == MissingRule.BOUND
        parts += [
            say("**Incomplete.** A split with a missing cell keeps a wider interval. Missing or failed:")
            if bound
            else say(
                "**Incomplete.** A split with a missing cell has no verdict, unless the cell's seed was "
                "added later. Missing or failed:"
            ),
            _without_numbers(cells[~cells["status"].isin(STATUSES_WITH_NUMBERS)], say),
        ]
    failed = comparison.cells.gates[~comparison.cells.gates["passed"].astype(bool)]
    if len(failed):
        parts.append(
            say(
                "**Verdicts withheld**: {cells} failed a validity gate: {names}.",
                cells=say.plural(len(failed), "cell"),
                names=", ".join(f"{row.method}/{row.split}/{row.seed}" for row in failed.itertuples()),
            )
        )
    sizes = [size for size in comparison.families.values() if size]
    answers = [*comparison.labels["carried"], *comparison.change_labels["carried"]]
    parts.append(
        say(
            "**Evidence**: the published rule prints {printed}; these data support {supported} of them (last "
            "section).",
            printed=say.plural(len(answers) - answers.count("-"), "label"),
            supported=answers.count("yes"),
        )
    )
    if sizes and max(sizes) == 1:
        parts.append(
            say(
                "Each method has one predicted split, so its test and its interval are not adjusted.",
            )
        )
    elif sizes:
        parts.append(
            say(
                "The evidence counts over families: the {sizes} predicted splits of a method, failed ones "
                "included, hold at {level:.0%} together; diffs and changes are a family each.",
                sizes=" / ".join(map(str, dict.fromkeys(sizes))),
                level=comparison.options.level,
            )
        )
    return parts


def _selection(comparison: Comparison, say: Words) -> list[str]:
    """Say that only some of the study is shown, and that nothing in it is judged otherwise."""
    if not isinstance(comparison, Selected) or comparison.whole is None:
        return []
    return [
        say(
            "**A selection** of the study's {all} cells. Every estimate, label and interval is that of the "
            "whole study, and the tests count over all of its predicted splits, also over those that are "
            "not shown.",
            all=len(comparison.whole.cells.table),
        )
    ]


def _without_numbers(cells: pd.DataFrame, say: Words) -> str:
    """Return one line per cell, with its status and its error."""
    lines = []
    for cell in cells.itertuples():
        error = f": {cell.error}" if isinstance(cell.error, str) else ""
        pairs = say(" (all pairs)") if cell.split == BASELINE else ""
        status = say.word(str(cell.status))
        lines.append(f"- {cell.method}/{cell.split}/{cell.seed}{pairs} {status}{error}")
    return "\n".join(lines)
