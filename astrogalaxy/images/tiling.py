"""Cutting an image into tiles: cores that partition it, and outer sections that overlap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Section", "Tile", "plan_tiles"]

# A last tile may be this much larger than asked for, rather than leave a sliver behind it.
STRETCH = 0.25
# Cores and outer sections begin at multiples of this many pixels.
_MULTIPLE = 32
# How far from its middle measurement looks for the light of a source, in sides of its box.
_LIGHT_REACH = 1.5
# A section that is more than this share of another is nearly all of it.
_NEARLY = 0.8


class Section(NamedTuple):
    """A rectangle of whole pixels, half open: x0 <= x < x1 and y0 <= y < y1.

    Pixels are 0-based. The section covers the sky from ``x0 - 0.5`` to ``x1 - 0.5``,
    because the centre of pixel 0 is at 0.

    Examples
    --------
    >>> Section(0, 20, 0, 10).shape
    (10, 20)
    >>> Section(0, 20, 0, 10).grow(4).clip((10, 22))
    Section(x0=0, x1=22, y0=0, y1=10)
    """

    x0: int
    x1: int
    y0: int
    y1: int

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Section:
        """Section that covers an array of the shape (ny, nx)."""
        return cls(0, int(shape[1]), 0, int(shape[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (ny, nx); 0 where the section is empty."""
        return max(self.y1 - self.y0, 0), max(self.x1 - self.x0, 0)

    @property
    def size(self) -> int:
        """How many pixels it has."""
        return self.shape[0] * self.shape[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices (y, x) that cut this section out of the whole array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def clip(self, shape: tuple[int, int]) -> Section:
        """Return the part of this section within an array of the shape (ny, nx); it may be empty."""
        ny, nx = int(shape[0]), int(shape[1])
        x0, y0 = min(max(self.x0, 0), nx), min(max(self.y0, 0), ny)
        return Section(x0, max(min(self.x1, nx), x0), y0, max(min(self.y1, ny), y0))

    def grow(self, n: int) -> Section:
        """Return this section with `n` pixels more on every side (not clipped)."""
        return Section(self.x0 - n, self.x1 + n, self.y0 - n, self.y1 + n)

    def within(self, other: Section) -> Section:
        """Return this section in the pixels of another one, counted from that one's first."""
        return Section(self.x0 - other.x0, self.x1 - other.x0, self.y0 - other.y0, self.y1 - other.y0)

    def rounded(self, limits: Section) -> Section:
        """Return this section, or the one that it lies in where it is nearly all of that."""
        return limits if self.size > _NEARLY * limits.size else self

    def holds(self, other: Section) -> bool:
        """Tell whether another section lies within this one."""
        return self.x0 <= other.x0 and other.x1 <= self.x1 and self.y0 <= other.y0 and other.y1 <= self.y1

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Tell which positions lie on a pixel of this section; NaN never does.

        Parameters
        ----------
        x, y : array_like
            0-based pixel positions of the whole image, broadcast together.

        Returns
        -------
        ndarray of bool
            As many as there are positions.
        """
        x, y = np.asarray(x), np.asarray(y)
        inside_x = (x >= self.x0 - 0.5) & (x < self.x1 - 0.5)
        return np.asarray(inside_x & (y >= self.y0 - 0.5) & (y < self.y1 - 0.5))


@dataclass(frozen=True)
class Tile:
    """One piece of an image: the pixels to read, and the smaller core whose sources it owns.

    Parameters
    ----------
    name : str
        Unique within one plan: the origin of the core, such as ``x01024y00000``.
    core : Section
        The cores of a plan partition the image.
    outer : Section
        The core and its overlap, clipped to the image.

    Examples
    --------
    >>> from astrogalaxy.images import plan_tiles
    >>> tile = plan_tiles((1000, 1000), size=600, overlap=50)[0]
    >>> tile.name, tile.owns([10.0, 900.0], [10.0, 10.0]).tolist()
    ('x00000y00000', [True, False])
    """

    name: str
    core: Section
    outer: Section

    def owns(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Tell which positions (whole-image pixels) have their centre in the core.

        Every position on the image belongs to exactly one tile of a plan.
        """
        return self.core.contains(x, y)

    def holding(self, boxes: NDArray[np.float64], shape: tuple[int, int]) -> Tile:
        """Tile that sees all of the large sources that reach into its core.

        Parameters
        ----------
        boxes : ndarray, shape (n, 4)
            ``x_min, x_max, y_min, y_max`` of sources, pixels of the whole image; their light may reach from the middle
            as far as one and a half of the longer side.
        shape : (int, int)
            Rows and columns of the image.

        Returns
        -------
        Tile
            With the same core; itself where there are none.
        """
        outer = self.outer
        for x_min, x_max, y_min, y_max in boxes:
            reach = _LIGHT_REACH * max(x_max - x_min, y_max - y_min)
            x, y = (x_min + x_max) / 2, (y_min + y_max) / 2
            x0, y0 = (int((at - reach) // _MULTIPLE) * _MULTIPLE for at in (x, y))
            x1, y1 = (int(-(-(at + reach) // _MULTIPLE)) * _MULTIPLE for at in (x, y))
            if x0 < self.core.x1 and self.core.x0 < x1 and y0 < self.core.y1 and self.core.y0 < y1:
                outer = Section(min(outer.x0, x0), max(outer.x1, x1), min(outer.y0, y0), max(outer.y1, y1)).clip(shape)
        return self if outer == self.outer else replace(self, outer=outer)


def plan_tiles(shape: tuple[int, int], *, size: int, overlap: int, multiple: int = _MULTIPLE) -> list[Tile]:
    """Cut an image into tiles whose cores partition it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image, (ny, nx).
    size : int
        Wished width and height of a core, in pixels. A core may be up to 1.25 times
        larger so that no sliver is left, and an image within that is one tile.
    overlap : int
        Pixels by which a tile sees beyond its core, rounded up to `multiple`. It has to
        exceed the largest source for tiled and untiled catalogues to agree.
    multiple : int, optional
        Cores and outer sections begin at multiples of this many pixels, so that a
        network with strides meets every source at the same phase however the image is cut.

    Returns
    -------
    list of Tile
        Row by row from the origin; cores of one plan differ by at most `multiple` pixels
        a side, apart from the last ones, which end with the image.

    Raises
    ------
    ValueError
        If the image is empty, `size` or `multiple` is below 1, or `overlap` is negative.

    Examples
    --------
    >>> [tile.core.shape for tile in plan_tiles((100, 300), size=128, overlap=20)]
    [(100, 96), (100, 128), (100, 76)]
    """
    ny, nx = int(shape[0]), int(shape[1])
    if ny < 1 or nx < 1:
        msg = f"an image of shape {shape} has no pixels to tile"
        raise ValueError(msg)
    if size < 1 or multiple < 1 or overlap < 0:
        msg = f"tiles need size >= 1, multiple >= 1 and overlap >= 0, not {size}, {multiple} and {overlap}"
        raise ValueError(msg)
    margin = -(-overlap // multiple) * multiple
    tiles = []
    for y0, y1 in _spans(ny, size, multiple):
        for x0, x1 in _spans(nx, size, multiple):
            core = Section(x0, x1, y0, y1)
            tiles.append(Tile(f"x{x0:05d}y{y0:05d}", core, core.grow(margin).clip((ny, nx))))
    return tiles


def _spans(length: int, size: int, multiple: int) -> list[tuple[int, int]]:
    """Divide one axis into spans of about `size`, beginning at multiples of `multiple`."""
    units = -(-length // multiple)
    count = max(1, int(np.ceil(length / size - STRETCH)))
    count = min(count, units)
    edges = [(i * units + count // 2) // count * multiple for i in range(count)] + [length]
    edges[0] = 0
    return list(pairwise(edges))
