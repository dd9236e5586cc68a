"""What every figure of a page shares: its width, its colours, its title and legend, and undated files."""

import logging
import unicodedata
from pathlib import Path

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

logging.getLogger("fontTools.subset").setLevel(logging.ERROR)  # it warns of tables that no figure needs
WIDTH_INCHES = 120 / 25.4  # letters of 8 pt are 5.7 pt in a column of 85 mm, and 11.3 pt on a page of 170 mm
DOTS_PER_INCH = 200
UNDATED = {"Creator": None, "Producer": None, "CreationDate": None}
LETTERS = 78  # of 8 pt in a line as wide as the figure; a Korean letter is as wide as two
# Methods differ in marker and line style as well as in colour. The colours are told apart by people of any
# colour vision (Okabe & Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINE_STYLES = ("-", "--", ":", "-.")
PREDICTED_COLOUR, MARGIN_COLOUR = "#DCEAF5", "0.82"


def new_figure(height: float) -> Figure:
    """Return an empty figure `height` inches high."""
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colour(index: int) -> str:
    """Return the colour of the method at a position in the study."""
    return COLOURS[index % len(COLOURS)]


def finish(figure: Figure, title: str) -> Figure:
    """Add a title over the figure, and one legend of all its panels below them, where it hides no data."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, wrap=True)
    named: dict[str, Artist] = {}
    for ax in figure.axes:
        named |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        _small(ax)
    if named:
        widths = [10 + _width(name) for name in named]  # with the symbol and a space
        columns = len(named) if sum(widths) <= LETTERS else max(1, LETTERS // max(widths))
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=8,
        )
    return figure


def _width(text: str) -> int:
    """Return how many Latin letters are as wide as the text."""
    return sum(1 + (unicodedata.east_asian_width(letter) == "W") for letter in text)


def _small(ax: Axes) -> None:
    ax.tick_params(labelsize=8)
    for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
        text.set_fontsize(8)


def save(figure: Figure, path: Path) -> Path:
    """Write the figure to `path`, a PNG, and beside it as PDF.

    The files carry neither a date nor a version, so that equal figures have equal bytes. Letters of the PDF
    are embedded as TrueType, as journals want them.
    """
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    figure.set_layout_engine("none")  # the places that were found hold for the second file, too
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(path.with_suffix(".pdf"), metadata=UNDATED)
    return path
