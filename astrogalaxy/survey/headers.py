"""What the headers of a field's images say: all that a run must know of it before its pixels are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from astropy.wcs.wcsapi import BaseHighLevelWCS
from numpy.typing import NDArray

from astrogalaxy.images import Band, Image, Section
from astrogalaxy.images.sky import to_sky

__all__ = ["BandHeader", "FieldHeaders", "outline_of"]

# Points along each side of a field's outline: distortions bend it.
_OUTLINE_POINTS = 9


class BandHeader(NamedTuple):
    """What the header of a band's image and the settings say of it; None where neither does.

    Attributes
    ----------
    zeropoint : float or None
        AB magnitude of one image unit.
    gain : float or None
        Electrons per image unit.
    exposure_time : float or None
        Seconds.
    mjd : float or None
        When it was taken, modified Julian date (UTC).
    """

    zeropoint: float | None
    gain: float | None
    exposure_time: float | None
    mjd: float | None

    @classmethod
    def of(cls, band: Band) -> Self:
        """Look at a band."""
        return cls(band.zeropoint, band.exposure.gain, band.exposure_time, band.mjd)


@dataclass(frozen=True)
class FieldHeaders:
    """What the headers of a field say; by default that none could be read.

    Attributes
    ----------
    bands : dict of str to BandHeader
        Of the bands that can be opened, reference included.
    shape : tuple of int
        Of the reference band; (0, 0) if unknown.
    pixel_scale : float
        Arcsec; NaN if unknown.
    centre : tuple of float
        Right ascension and declination (ICRS, degrees) of the middle of the reference image; NaN if unknown.
    outline : list of list of float
        Right ascension and declination of points around the reference image; empty if one of them is unknown.
    """

    bands: dict[str, BandHeader] = field(default_factory=dict)
    shape: tuple[int, int] = (0, 0)
    pixel_scale: float = math.nan
    centre: tuple[float, float] = (math.nan, math.nan)
    outline: list[list[float]] = field(default_factory=list)

    @classmethod
    def of(cls, image: Image) -> Self:
        """Look at an image."""
        bands = {name: BandHeader.of(band) for name, band in image.bands.items()}
        shape, scale = image.shape, float(image.pixel_scale)
        if image.wcs is None:
            return cls(bands, shape, scale)
        ra, dec = to_sky(image.wcs, *(np.array([(length - 1) / 2]) for length in reversed(shape)))
        outline = outline_of(image.wcs, Section.whole(shape))
        around = outline.tolist() if np.isfinite(outline).all() else []
        return cls(bands, shape, scale, (float(ra[0]), float(dec[0])), around)

    def to_record(self) -> dict[str, Any]:
        """Entries of a field in ``run.json``, which knows no NaN."""
        return {
            "shape": list(self.shape) if self.bands else None,
            "pixel_scale": self.pixel_scale if math.isfinite(self.pixel_scale) else None,
            "centre": list(self.centre) if math.isfinite(sum(self.centre)) else None,
            "outline": self.outline,
            "headers": {band: header._asdict() for band, header in self.bands.items()},
        }

    @classmethod
    def from_record(cls, entry: Mapping[str, Any]) -> Self | None:
        """Undo `to_record`; None of an entry of another version, or of a field that could not be opened."""
        if not {"centre", "outline", "headers"} <= entry.keys() or entry["shape"] is None:
            return None
        bands = {band: BandHeader(**header) for band, header in entry["headers"].items()}
        scale, centre = entry["pixel_scale"], entry["centre"]
        known = {} if scale is None else {"pixel_scale": scale}
        known |= {} if centre is None else {"centre": tuple(centre)}
        return cls(bands, tuple(entry["shape"]), outline=entry["outline"], **known)


def outline_of(wcs: BaseHighLevelWCS, section: Section) -> NDArray[np.float64]:
    """Right ascension and declination of points around a section, in their order, shape (n, 2); NaN without sky."""
    steps = np.linspace(0, 1, _OUTLINE_POINTS)[:-1]
    # once around, each side without its last point, which is the first of the next side
    across = np.concatenate([steps, np.ones_like(steps), 1 - steps, np.zeros_like(steps)])
    along = np.concatenate([np.zeros_like(steps), steps, np.ones_like(steps), 1 - steps])
    ny, nx = section.shape
    return np.column_stack(to_sky(wcs, section.x0 - 0.5 + nx * across, section.y0 - 0.5 + ny * along))
