"""The section that compares the verdicts with those of another version of the study."""

import pandas as pd

from stats.page.markdown import signed
from stats.page.page import Page


def crosscheck(agreement: pd.DataFrame, page: Page) -> list[str]:
    """Return the verdicts of both versions on the same variables.

    Args:
        agreement: the result of `stats.rule.crosscheck.crosscheck`.
    """
    title = page.say("## Cross-check with another version")
    if agreement.empty:
        return [title, page.say("No method has a verdict on the same variable in both versions.")]
    rows = agreement.assign(
        **{name: agreement[name].map(signed) for name in ("mean_pp", "mean_pp_other")},
        **{name: page.yes_no(agreement[name]) for name in ("agree", "same_direction")},
    ).rename(
        columns={
            "mean_pp": "mean pp",
            "mean_pp_other": "mean pp, other",
            "verdict_other": "verdict, other",
            "agree": "Agree?",
            "same_direction": "same direction",
        }
    )
    return [
        title,
        page.say(
            "Same verdict: {agreed} of {all}; same direction: {same} of {all}.",
            agreed=int(agreement["agree"].sum()),
            same=int(agreement["same_direction"].sum()),
            all=len(agreement),
        ),
        page.table(rows),
    ]
