"""The point spread of a band as a user gives it: images of it, and stars that are drawn with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sep
from numpy.typing import NDArray

from astrogalaxy.errors import ImageError
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images.seeing import HALF_LIGHT, NARROWEST
from astrogalaxy.images.stars import half_light_radius

__all__ = ["GivenPsf"]

# The radius that holds half of the light fits so many times into the image, and the light there is such a share of all
# that is not 0: else the image is of something else.
_INSIDE, _CLEAR = 2.0, 0.1
# Stars along a pixel that are drawn of images with finer pixels.
_PHASES = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GivenPsf:
    """Images of the point spread at n places of a band, as its pixels see it. Made by `read_psf`.

    Parameters
    ----------
    images : ndarray, shape (n, ny, nx)
        Each with a point near its middle, of any light; NaN is taken for 0.
    places : ndarray, shape (n, 2)
        Positions x and y in the band, pixels.
    step : float
        Side of a pixel of the images, in pixels of the band.
    origin : str
        File or description, for messages.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If an image is not of one point.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.images.givenpsf import GivenPsf
    >>> y, x = np.mgrid[-20:21, -20:21]
    >>> given = GivenPsf(np.exp(-(x**2 + y**2) / 18)[None], np.array([[60.0, 45.0]]), 0.5, "a Gaussian")
    >>> x, y, stamps = given.stars(8)
    >>> round(given.seeing, 1), x.tolist(), round(float(stamps[0].sum()), 3)
    (3.6, [60.0, 59.5, 60.0, 59.5], 1.0)
    """

    images: Floats
    places: Floats
    step: float
    origin: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", np.nan_to_num(self.images, posinf=0.0, neginf=0.0))
        for image in self.images:
            self._check(image)

    def _check(self, image: Floats) -> None:
        """Refuse an image that is not of one point, all of it and nothing else."""
        ny, nx = image.shape
        x, y, radius = _centre(image)
        room = min(x + 0.5, nx - 0.5 - x, y + 0.5, ny - 0.5 - y)
        within = np.hypot(np.arange(nx) - x, np.arange(ny)[:, None] - y) < 2 * radius
        if not image.sum() > 0:
            problem = "it has no light"
        elif not _INSIDE * radius <= room:
            problem = f"half of its light is within {radius:.3g} pixels of its peak, {max(room, 0):.3g} from its edge"
        elif radius * self.step < NARROWEST:
            problem = f"half of its light is within {radius * self.step:.2g} pixels of the band, as of no star"
        elif not image[within].sum() > _CLEAR * np.abs(image).sum():
            problem = "its wings, or noise, hold more than its peak"
        else:
            return
        msg = f"{self.origin}: this {nx} x {ny} image is none of a point spread in its middle: {problem}"
        raise ImageError(msg)

    def stars(self, half: int) -> tuple[Floats, Floats, Floats]:
        """Draw stars at all places; several within a pixel, where the images have finer pixels.

        Parameters
        ----------
        half : int
            Half side of their stamps, pixels of the band.

        Returns
        -------
        x, y : ndarray, shape (m,)
            Their positions in the band.
        stamps : ndarray, shape (m, 2 * half + 1, 2 * half + 1)
            Their light on the pixels around the nearest one, 0 beyond the images; all of a star is 1.
        """
        from scipy.ndimage import map_coordinates

        found = []
        fine = round(1 / self.step)
        shifts = np.arange(0, max(fine, 1), max(fine // _PHASES, 1))
        for image, place in zip(self.images, self.places, strict=True):
            centre, light = np.array(_centre(image)[:2]), image.sum() * self.step**2
            for shift in np.stack(np.meshgrid(shifts, shifts), axis=-1).reshape(-1, 2):
                # pixels of the stamp lie on pixels of the image wherever these are a whole part of them
                star = np.floor(place + 0.5) + (centre - np.floor(centre + 0.5) - shift) * self.step
                pixels = np.floor(star + 0.5)[:, None] + np.arange(-half, half + 1)
                columns, rows = centre[:, None] + (pixels - star[:, None]) / self.step
                found.append((*star, map_coordinates(image, np.meshgrid(rows, columns, indexing="ij")) / light))
        x, y, stamps = (np.array(part) for part in zip(*found, strict=True))
        return x, y, stamps

    def row(self, half: int) -> tuple[NDArray[np.float32], Floats, Floats]:
        """The stamps of `stars` side by side as one image, and the places x and y of the stars on it."""
        x, y, stamps = self.stars(half)
        side = 2 * half + 1
        x, y = (part - np.floor(part + 0.5) + half for part in (x, y))
        return np.concatenate(stamps, axis=1, dtype=np.float32), x + side * np.arange(len(x)), y

    @property
    def half(self) -> int:
        """Half side of the largest stamps that the images fill, pixels of the band."""
        return int((min(self.images.shape[1:]) - 1) * self.step / 2)

    @cached_property
    def seeing(self) -> float:
        """Half-light diameter of stars in pixels of the band, found as in `Band.seeing`."""
        data, x, y = self.row(2 * self.half + 1)
        return 2 * float(np.median(half_light_radius(data, x, y, np.ones(len(x)))))

    @property
    def fwhm(self) -> float:
        """FWHM that stars of this half-light diameter usually have, pixels of the band."""
        return self.seeing / HALF_LIGHT


def _centre(image: Floats) -> tuple[float, float, float]:
    """Place of the light around the peak, and the radius that holds half of it; pixels of the image."""
    data = np.ascontiguousarray(image, dtype=np.float32)
    y, x = (np.array([float(at)]) for at in np.unravel_index(data.argmax(), data.shape))
    for _ in range(2):
        radius = half_light_radius(data, x, y, np.ones(1), largest=max(data.shape))
        moved = sep.winpos(data, x, y, 2 * radius / FWHM_PER_SIGMA)[:2]
        x, y = (np.where(np.isfinite(new), new, old) for new, old in zip(moved, (x, y), strict=True))
    return float(x[0]), float(y[0]), float(radius[0])
