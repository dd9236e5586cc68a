"""Fonts of figures: the installed fonts that have the letters of the page's language."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import font_manager, rc_context

from stats.page.language import Language
from stats.page.words import Words

log = logging.getLogger(__name__)
LATIN_FONT = "DejaVu Sans"  # comes with matplotlib
# The preferred font comes first. Matplotlib reads the Japanese face of Noto Sans CJK, which has Hangul too.
KOREAN_FONTS = (
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "NanumGothic",
    "Malgun Gothic",
    "AppleGothic",
)


@contextmanager
def figure_words(say: Words) -> Iterator[Words]:
    """Set the fonts in which figures are drawn and saved, and yield the words to label them with.

    The words are those of `say`. Where no installed font has Korean letters, the words are English, and a
    warning says what to install.
    """
    families = font_families(say.language)
    if families is None:
        log.warning("figures have English labels: no Korean font is installed (apt-get install fonts-nanum)")
        say, families = Words(), font_families("en")
    with rc_context({"font.family": families}):
        yield say


def font_families(language: Language) -> list[str] | None:
    """Return the font families for figures, Latin first; None where no font for the language is installed."""
    if language == "en":
        return [LATIN_FONT]
    manager = font_manager.fontManager
    if not _korean_font():  # matplotlib's cached list may be older than a font
        for path in font_manager.findSystemFonts():
            if any(name in path for name in ("Nanum", "CJK", "NotoSansKR")):
                manager.addfont(path)
    korean_font = _korean_font()
    return [LATIN_FONT, korean_font] if korean_font else None


def _korean_font() -> str | None:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in KOREAN_FONTS if name in installed), None)
