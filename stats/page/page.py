"""What the sections of a report share: its words, its figures, and tables with headings in its language."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stats.page.markdown import NOTHING, table
from stats.page.words import Words


@dataclass(frozen=True)
class Page:
    """`figures`: name -> file in the report's folder."""

    say: Words
    figures: Mapping[str, str]

    def table(self, frame: pd.DataFrame) -> str:
        """A pipe table."""
        return table(frame.set_axis(self.say.each(map(str, frame.columns)), axis=1))

    def picture(self, *names: str) -> list[str]:
        """Those of the named figures that were drawn."""
        return [
            f"![{self.say(TITLES[name])}]({self.figures[name]})" for name in names if name in self.figures
        ]

    def yes_no(self, answers: "pd.Series[bool]") -> list[str]:
        """yes, no, or - where there is no answer."""
        words = {True: self.say("yes"), False: self.say("no")}
        return [words.get(answer, "-") for answer in answers]

    def counts(self, values: "pd.Series[float]") -> list[str]:
        """Whole numbers; that none is enough, where it is infinite; - where there is none."""
        none = self.say("none is enough")
        return [
            NOTHING if math.isnan(value) else f"{value:.0f}" if math.isfinite(value) else none
            for value in values
        ]

    def captured(self, found: pd.DataFrame) -> list[str]:
        """What an interval captures, and in brackets the note beside it; columns captures, note."""
        return [
            self.say.of(captures) + (f" ({self.say.of(note)})" if note else "")
            for captures, note in zip(found["captures"], found["note"], strict=True)
        ]


def titled(text: str, generated: bool, say: Words) -> list[str]:
    """A page's title, which says where the data were generated."""
    if not generated:
        return [f"# {text}"]
    return [
        say("# {text}, on generated data", text=text),
        say("**Generated data**: the people, their ratings and the answers in this study were generated."),
    ]


TITLES = {
    "histogram": "Distribution of the weights",
    "score_gap": "Weight against score gap",
    "source_model": "Weight by source model",
    "splits": "Weight of A and B by split",
    "heterogeneity": "How much users differ, by split",
    "forest": "A minus B by split, with intervals and seeds",
    "changes": "Change from the reference by split",
    "seeds": "Diffs by seed",
    "curves": "A minus B by step",
    "power": "Smallest diff with 80 % power",
    "rule": "Labels of the published rule when nothing is there",
}
