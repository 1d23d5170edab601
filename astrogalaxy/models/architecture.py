"""The shape of an AstroYOLO network, as a weight file gives it; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import NamedTuple

__all__ = ["CHANNELS", "SIZES", "ZOOMS", "Architecture", "Size"]

#: The channels of each level's output map, in order.
CHANNELS = ("dx", "dy", "log_width", "log_height", "source", "galaxy", "disk")


class Size(NamedTuple):
    """Multipliers of one member of the YOLOX family."""

    depth: float
    width: float
    head: int
    depthwise: bool


#: The sizes of the YOLOX family, and micro, which is a nano with twice the channels; ``head`` is the width of a head's
#: branch.
SIZES = {
    "nano": Size(depth=0.33, width=0.25, head=48, depthwise=True),
    "micro": Size(depth=0.33, width=0.50, head=96, depthwise=True),
    "tiny": Size(depth=0.33, width=0.375, head=64, depthwise=False),
    "s": Size(depth=0.33, width=0.50, head=96, depthwise=False),
}

#: Factors by which a network may magnify images: with each, cells of the usual levels meet at every 32nd pixel.
ZOOMS = (1.0, 1.5, 2.0)

# Overlaps of small and of large boxes above which two of them are of one source. Where several cells answer for a
# source, half is enough. Where one cell has learnt to, boxes of one source are nearly the same, so that close pairs can
# stay; but parts of a large galaxy overlap less.
_OVERLAP, _OVERLAP_OF_COPIES = (0.5, 0.5), (0.7, 0.25)


@dataclass(frozen=True)
class Architecture:
    """Shape of an AstroYOLO network.

    Parameters
    ----------
    size : {'nano', 'micro', 'tiny', 's'}
        Member of the YOLOX family.
    levels : tuple of int
        Strides of the three pyramid levels in pixels of what the network sees, finest first: ``(4, 8, 16)`` for
        seeing-limited surveys, ``(8, 16, 32)`` as published.
    inputs : int
        Input channels onto which the bands are mapped.
    seeing : bool
        Whether one more channel holds the seeing.
    one_cell : bool
        Whether one cell alone answers for each source; else several do, as in YOLOX.
    zoom : float
        Factor by which the network magnifies images before it looks at them, one of `ZOOMS`.
    name : str
        Family of the network.

    Examples
    --------
    >>> from astrogalaxy.models import Architecture
    >>> shape = Architecture("nano", seeing=True)
    >>> shape.channels, shape.multiple
    (4, 16)
    >>> magnified = Architecture("nano", zoom=1.5)
    >>> [round(stride, 2) for stride in magnified.strides], magnified.multiple
    ([2.67, 5.33, 10.67], 32)
    """

    size: str = "nano"
    levels: tuple[int, ...] = (4, 8, 16)
    inputs: int = 3
    seeing: bool = False
    one_cell: bool = False
    zoom: float = 1.0
    name: str = "astroyolo"

    @property
    def channels(self) -> int:
        """Input channels, that of the seeing among them."""
        return self.inputs + self.seeing

    @property
    def overlaps(self) -> tuple[float, float]:
        """Overlap (intersection over union) above which the lesser of two boxes is a copy: small boxes, large boxes."""
        return _OVERLAP_OF_COPIES if self.one_cell else _OVERLAP

    @property
    def strides(self) -> tuple[float, ...]:
        """Strides of the levels in pixels of the image, finest first."""
        return tuple(level / self.zoom for level in self.levels)

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of so many pixels, which are a whole number of the coarsest cells."""
        zoom = Fraction(self.zoom)
        cells = self.levels[-1] * zoom.denominator
        return cells // gcd(cells, zoom.numerator)
