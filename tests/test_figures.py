"""A figure is whole: nothing leaves it, and its legend hides no data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stats.compare import compare_published
from stats.comparison import Comparison
from stats.page.fonts import figure_words, font_families
from stats.page.language import Language
from stats.page.plots.draw import FIGURES
from stats.page.words import Words
from stats.rule.published import read
from tests.finished_study import finished_comparison

REFERENCE = Path(__file__).parents[1] / "configs/reference"
TOLERANCE_INCHES = 0.01


def published_comparison() -> Comparison:
    """Return the comparison of the published study, which has the longest titles."""
    diffs, predictions = (read(REFERENCE / f"v5b_{name}.csv") for name in ("diffs", "predictions"))
    return compare_published(diffs, predictions, "dpo")


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("comparison", [finished_comparison, published_comparison])
def test_nothing_leaves_a_figure_and_no_legend_hides_data(
    comparison: Callable[[], Comparison], language: Language
) -> None:
    if font_families(language) is None:
        pytest.skip("no Korean font is installed: make services, or apt-get install fonts-nanum")
    with figure_words(Words(language)) as say:
        for name, make in FIGURES.items():
            if (figure := make(comparison(), say)) is None:
                continue
            figure.draw_without_rendering()
            drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
            assert min(drawn.x0, drawn.y0) > -TOLERANCE_INCHES, name
            assert drawn.x1 < width + TOLERANCE_INCHES, name
            assert drawn.y1 < height + TOLERANCE_INCHES, name
            for legend in figure.legends:
                box = legend.get_window_extent()
                assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes), name
