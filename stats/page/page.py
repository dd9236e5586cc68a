"""What the sections of a page share: its words, its figures, and tables with headings in its language."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stats.page.markdown import NO_VALUE, table
from stats.page.words import Words

FIGURE_TITLES = {
    "histogram": "Distribution of the weights",
    "score_gap": "Weight against score gap",
    "source_model": "Weight by source model",
    "splits": "Weight of A and B by split",
    "heterogeneity": "How much users differ, by split",
    "forest": "A minus B by split, with intervals and seeds",
    "changes": "Change from the reference by split",
    "seeds": "Diffs by seed",
    "curves": "A minus B by step",
    "heldout_curves": "A minus B by step, held-out pairs",
    "power": "Smallest diff with 80% power",
    "rule": "Labels of the published rule when there is no effect",
}


@dataclass(frozen=True)
class Page:
    """The words and the figures of one page.

    say: the page's language.
    figures: figure name -> file name in the page's folder, for the figures that were drawn.
    """

    say: Words
    figures: Mapping[str, str]

    def table(self, frame: pd.DataFrame) -> str:
        """Return `frame` as a pipe table whose headings are in the page's language."""
        return table(frame.set_axis(self.say.words(map(str, frame.columns)), axis=1))

    def folded(self, summary: str, *parts: str) -> list[str]:
        """Return parts that HTML and most Markdown readers show only after a click on the summary."""
        return [f"<details><summary>{summary}</summary>", *parts, "</details>"]

    def pictures(self, *names: str) -> list[str]:
        """Return one image per named figure that was drawn."""
        return [
            f"![{self.say(FIGURE_TITLES[name])}]({self.figures[name]})"
            for name in names
            if name in self.figures
        ]

    def yes_no(self, answers: "pd.Series[bool]") -> list[str]:
        """Return yes or no per answer; `-` where there is no answer."""
        words = {True: self.say("yes"), False: self.say("no")}
        return [words.get(answer, NO_VALUE) for answer in answers]

    def counts(self, values: "pd.Series[float]") -> list[str]:
        """Return whole numbers; an infinite one says that no number suffices, and a missing one is `-`."""
        infinite = self.say("no number suffices")
        return [
            NO_VALUE if math.isnan(value) else f"{value:.0f}" if math.isfinite(value) else infinite
            for value in values
        ]

    def captures(self, estimates: pd.DataFrame) -> list[str]:
        """Return the uncertainty that each interval captures, with its note in brackets.

        Args:
            estimates: one row per interval, with the columns captures and note.
        """
        return [
            self.say.word(captures) + (f" ({self.say.word(note)})" if note else "")
            for captures, note in zip(estimates["captures"], estimates["note"], strict=True)
        ]


def title_lines(title: str, generated: bool, say: Words) -> list[str]:
    """Return a page's title, followed by a warning where the data of the study were generated."""
    if not generated:
        return [f"# {title}"]
    return [
        say("# {text}, on generated data", text=title),
        say("**Generated data**: the people, their ratings and the answers in this study were generated."),
    ]
