"""The Korean of a report's texts, keyed by the English text.

The terms of the study's author stay English: split, seed, pair, weight, arm, held-out and the published
labels. `tests/test_korean.py` fails on a text without an entry, and on an entry whose placeholders differ.
"""

from stats.page.korean.figures import FIGURE_WORDS
from stats.page.korean.sentences import SENTENCES
from stats.page.korean.surveys import SURVEY_TEXTS
from stats.page.korean.tables import TABLE_WORDS, WITH_NUMBERS

__all__ = ["KOREAN", "WITH_NUMBERS"]

KOREAN = SENTENCES | TABLE_WORDS | FIGURE_WORDS | SURVEY_TEXTS
