"""A report's words: English as the sources say them, or Korean by `stats/page/korean/`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from stats.page.korean import KOREAN, WITH_NUMBERS
from stats.page.language import Language
from stats.text import times


@dataclass(frozen=True)
class Words:
    """Says a text in the report's language. Labels, names and numbers stay."""

    language: Language = "en"

    def __call__(self, text: str, /, **values: object) -> str:
        """`text`, its named places filled; what has no Korean entry stays English."""
        return (text if self.language == "en" else KOREAN.get(text, text)).format(**values)

    def of(self, text: str) -> str:
        """A word of a table: evidence, what an interval captures, a note; also one with numbers in it."""
        if self.language == "en":
            return text
        if text in KOREAN:
            return KOREAN[text]
        for pattern, korean in _patterns():
            if found := pattern.fullmatch(text):
                return korean.format(**found.groupdict())
        return text

    def each(self, texts: Iterable[str]) -> list[str]:
        """`of` every text."""
        return [self.of(text) for text in texts]

    def times(self, number: object, what: str) -> str:
        """1 seed, 2 seeds."""
        if self.language == "en":
            return times(number, what)
        return KOREAN[f"{{number}} {what}"].format(number=number)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text))), korean)
        for text, korean in WITH_NUMBERS.items()
    ]
