"""What every figure of a page shares: its width, its canvas, and a file that carries no date."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMN_INCHES = 6.5
# Methods differ in marker, line style and hatch as well as in colour.
MARKERS = ("o", "s", "^", "D", "v", "P")
LINE_STYLES = ("-", "--", ":", "-.")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++")


def new_figure(height: float) -> Figure:
    """Return an empty figure as wide as a column and `height` inches high."""
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write the figure to `path` without a date or a version, so that equal figures have equal bytes."""
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path
