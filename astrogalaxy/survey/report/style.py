"""One look for all charts: colours that the colour-blind tell apart, thin lines, no ornament."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astrogalaxy.survey.report.text import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CLASS_COLOURS",
    "CLASS_NAMES",
    "DASHED",
    "FAINT",
    "INK",
    "MUTED",
    "SHAPE_COLOURS",
    "Chart",
    "beside",
    "chart",
    "heading",
    "legend",
    "magnitude_label",
    "new_axes",
    "one_to_one",
]

INK, MUTED, FAINT, _FRAME, _GRID = "#1b2430", "#5c6773", "#c3cad1", "#9aa3ad", "#e4e8ec"
DASHED = (0, (4, 3))
#: Of the palette of Okabe and Ito: blue and vermilion differ for every eye, in print too.
CLASS_COLOURS = {"galaxy": "#d55e00", "star": "#0072b2", "unsure": "#8a929b"}
CLASS_NAMES = {"galaxy": "galaxies", "star": "stars", "unsure": "unsure"}
SHAPE_COLOURS = {"smooth": "#cc79a7", "disk": "#009e73", "unsure": "#8a929b"}

_WIDTH, _HEIGHT = 5.6, 3.6
_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": _FRAME,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": _FRAME,
    "ytick.color": _FRAME,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "text.usetex": False,
    "mathtext.fontset": "dejavusans",
    "savefig.transparent": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "astrogalaxy",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Chart:
    """A chart, ready for the page.

    Attributes
    ----------
    title, caption : str
        What stands over and under it.
    alt : str
        What it shows, in words.
    uri : str
        The picture, embedded as SVG.
    """

    title: str
    caption: str
    alt: str
    uri: str


@contextmanager
def new_axes(*, columns: int = 1, height: float = _HEIGHT) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty chart in the report's look; matplotlib's own settings are as before afterwards.

    Parameters
    ----------
    columns : int
        How many axes there is room for side by side; the first is given.
    height : float
        In inches.
    """
    # No pyplot: it keeps figures and a backend for the whole process.
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.add_subplot(figure.add_gridspec(1, columns)[0, 0])


def beside(axes: Axes) -> Axes:
    """Axes to the right of the first of two columns, with the same scales."""
    right = axes.figure.add_subplot(axes.get_gridspec()[0, 1], sharex=axes, sharey=axes)
    right.tick_params(labelleft=False)
    return right


def heading(axes: Axes, kind: str, n: int) -> None:
    """Say over one of several axes which class it shows, and of how many sources."""
    axes.set_title(f"{CLASS_NAMES[kind]} ({count(n)})", color=CLASS_COLOURS[kind], fontsize=9.5, loc="left")


def legend(axes: Axes, *, larger: float = 1.0) -> None:
    """Put a legend over the chart, its marks opaque and so many times larger than in it."""
    made = axes.figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=4, fontsize=8.5,
        handletextpad=0.4, columnspacing=1.4, borderaxespad=0.2, markerscale=larger,
    )  # fmt: skip
    for handle in made.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def magnitude_label(name: str, *, calibrated: bool) -> str:
    """Name of a magnitude, or of a colour, for an axis."""
    return f"{name}  ({'AB' if calibrated else 'instrumental'} mag)"


def one_to_one(axes: Axes) -> None:
    """Draw the line on which a share is what it was said to be."""
    axes.plot([0, 1], [0, 1], color=MUTED, lw=1.0, ls=DASHED)


def chart(figure: Figure, *, title: str, caption: str, alt: str) -> Chart:
    """Finish a chart; to be called where `new_axes` still holds."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": "astrogalaxy"}
    with warnings.catch_warnings():
        # a field may be named in any script; what the font lacks is drawn as a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        # points are drawn as pixels, all else as lines: thousands of points would weigh megabytes
        figure.savefig(buffer, format="svg", dpi=190, metadata=metadata)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Chart(title, caption, alt, f"data:image/svg+xml;base64,{text}")
