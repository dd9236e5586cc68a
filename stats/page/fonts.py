"""Fonts of figures: the installed ones that have the letters of a report's language."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import font_manager, rc_context

from stats.page.language import Language
from stats.page.words import Words

log = logging.getLogger(__name__)
LATIN = "DejaVu Sans"  # comes with matplotlib
# Most wanted first. Of Noto Sans CJK matplotlib reads the Japanese face, which has Hangul too.
KOREAN_FONTS = (
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "NanumGothic",
    "Malgun Gothic",
    "AppleGothic",
)


@contextmanager
def labelled(say: Words) -> Iterator[Words]:
    """Within it figures are drawn and saved with the words it gives: those of `say`, or, where no font has
    Korean letters, English ones, and a warning that says what to install."""
    families = fonts(say.language)
    if families is None:
        log.warning("figures have English labels: no Korean font is installed (apt-get install fonts-nanum)")
        say, families = Words(), fonts("en")
    with rc_context({"font.family": families}):
        yield say


def fonts(language: Language) -> list[str] | None:
    """Font families for figures, Latin first; None where no font for the language is installed."""
    if language == "en":
        return [LATIN]
    known = font_manager.fontManager
    if not _installed():  # matplotlib's own list is as old as its cache
        for path in font_manager.findSystemFonts():
            if any(name in path for name in ("Nanum", "CJK", "NotoSansKR")):
                known.addfont(path)
    found = _installed()
    return [LATIN, found] if found else None


def _installed() -> str | None:
    names = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in KOREAN_FONTS if name in names), None)
