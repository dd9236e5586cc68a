"""The words of a page: English as in the sources, or Korean from `stats/page/korean/`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from stats.page.korean import KOREAN, WITH_NUMBERS
from stats.page.language import Language
from stats.text import plural


@dataclass(frozen=True)
class Words:
    """Texts in the page's language. Labels, names and numbers are the same in every language."""

    language: Language = "en"

    def __call__(self, text: str, /, **values: object) -> str:
        """Return a sentence with its placeholders filled. A text without a Korean entry stays English."""
        return (text if self.language == "en" else KOREAN.get(text, text)).format(**values)

    def word(self, text: str) -> str:
        """Return a word of a table: a heading, a value or a note, including one with a number in it."""
        if self.language == "en":
            return text
        if text in KOREAN:
            return KOREAN[text]
        for pattern, korean in _patterns():
            if match := pattern.fullmatch(text):
                return korean.format(**match.groupdict())
        return text

    def words(self, texts: Iterable[str]) -> list[str]:
        """Return `word` of every text."""
        return [self.word(text) for text in texts]

    def plural(self, number: object, noun: str) -> str:
        """Return a number with its noun: 1 seed, 2 seeds."""
        if self.language == "en":
            return plural(number, noun)
        return KOREAN[f"{{number}} {noun}"].format(number=number)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text))), korean)
        for text, korean in WITH_NUMBERS.items()
    ]
