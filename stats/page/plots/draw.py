"""Draw every figure that a comparison has data for.

The figures are readable at column width and without colour: methods differ in marker, line style and row as
well. Nothing is drawn at random, and the files carry no date, so the same tables give the same bytes.
"""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.page.fonts import figure_words
from stats.page.plots.canvas import save
from stats.page.plots.curves import curves, heldout_curves
from stats.page.plots.effects import changes, forest
from stats.page.plots.power import power
from stats.page.plots.rule import rule
from stats.page.plots.seeds import seeds
from stats.page.words import Words

FIGURES: dict[str, Callable[[Comparison, Words], Figure | None]] = {
    "forest": forest,
    "changes": changes,
    "seeds": seeds,
    "curves": curves,
    "heldout_curves": heldout_curves,
    "power": power,
    "rule": rule,
}


def draw(comparison: Comparison, out: Path, say: Words) -> dict[str, str]:
    """Write one PNG per figure into `out`, and return figure name -> file name for those that were drawn."""
    files = {}
    with figure_words(say) as labels:
        for name, make in FIGURES.items():
            figure = make(comparison, labels)
            if figure is not None:
                files[name] = save(figure, out / f"{name}.png").name
    return files
