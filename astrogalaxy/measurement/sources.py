"""The sources to measure: where each is, and the box that holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.tables import numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Sources"]


@dataclass(frozen=True)
class Sources:
    """Positions and boxes of n sources, in 0-based pixels of the whole reference image.

    Values may be NaN, or masked: such a source is kept, but comes back unmeasured.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Centres; the centre of the first pixel is (0, 0).
    x_min, x_max, y_min, y_max : ndarray of float64, shape (n,)
        Edges of the box around the light of each source. Measurement takes from it a first
        guess of the size and the limits of what may belong to the source.
    held : ndarray of bool, shape (n,), optional
        Whether the centre is given and stays (forced photometry); by default all are refined.

    Raises
    ------
    ValueError
        If the arrays are not one-dimensional and equally long, or are in another unit than pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.measurement import Sources
    >>> sources = Sources.around(np.array([10.0, 42.5]), np.array([8.0, 30.0]), side=12)
    >>> len(sources), float(sources.x_min[0])
    (2, 4.0)
    """

    x: np.ndarray
    y: np.ndarray
    x_min: np.ndarray
    x_max: np.ndarray
    y_min: np.ndarray
    y_max: np.ndarray
    held: np.ndarray = field(default_factory=lambda: np.array(False))

    def __post_init__(self) -> None:
        names = ("x", "y", "x_min", "x_max", "y_min", "y_max")
        for name in names:
            object.__setattr__(self, name, np.array(_pixels(name, getattr(self, name))))
        shapes = {getattr(self, name).shape for name in names}
        if shapes != {(self.x.size,)}:
            msg = f"x, y and the edges of the boxes must be one-dimensional and equally long, not {sorted(shapes)}"
            raise ValueError(msg)
        held = np.array(np.broadcast_to(np.asarray(self.held, dtype=bool), self.x.shape))
        object.__setattr__(self, "held", held)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def n(self) -> int:
        """How many sources there are."""
        return len(self.x)

    @classmethod
    def around(cls, x: ArrayLike, y: ArrayLike, *, side: ArrayLike) -> Sources:
        """Sources in square boxes around given positions.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            Centres, pixels.
        side : float or array_like of shape (n,)
            Length of a box's side, pixels.

        Returns
        -------
        Sources
            A box for each position, in their order.
        """
        x, y = np.atleast_1d(_pixels("x", x)), np.atleast_1d(_pixels("y", y))
        half = np.broadcast_to(_pixels("side", side) / 2, x.shape)
        return cls(x, y, x - half, x + half, y - half, y + half)


def _pixels(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Numbers of an array, column or quantity; NaN where they are masked."""
    unit = getattr(values, "unit", None)
    if unit is not None and unit != "pix":
        msg = f"{name} must be in pixels, not in {unit}; Image.wcs.world_to_pixel makes pixels of a SkyCoord"
        raise ValueError(msg)
    return numbers(values)
