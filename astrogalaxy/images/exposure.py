"""An image of one band as it was given: its pixels, the maps that belong to them, and what their values mean."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.bits import SATURATED
from astrogalaxy.images.fitsfile import FitsPlane
from astrogalaxy.images.inputs import AlteredPlane, Plane
from astrogalaxy.images.sky import is_off
from astrogalaxy.images.weights import WEIGHT_TYPES, as_inverse_variance, usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.givenpsf import GivenPsf
    from astrogalaxy.images.tiling import Section

__all__ = ["Exposure", "Reading", "check_map", "file_plane"]

logger = logging.getLogger(__name__)

# Numbers as large as this stand for "no data" in files that have no other way to say it: SExtractor and SWarp write
# -1e30, IRAF 1.6e38, others the largest that there are.
_NO_DATA = 1e29
# A weight map whose noise differs from that of the pixels by more than the first factor is another kind of map. Up to
# the second it is believed as it is: crowds, and the way in which noise is measured, make that much difference.
_OTHER_NOISE, _SAME_NOISE = 10.0, 1.15
_WANTED = {
    "inverse_variance": "inverse variances, in image units to the power -2",
    "relative": "something proportional to inverse variances",
    "variance": "variances, in image units to the power 2",
    "rms": "noise (rms), in image units",
}


class Reading(NamedTuple):
    """Pixels of a section as in the file, NaN included; which of them are bad; weights; and which are saturated."""

    data: NDArray[np.float32]
    bad: NDArray[np.bool_]
    weight: NDArray[np.float32] | None
    saturated: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Exposure:
    """An image of one band, the maps that belong to it, and what its values mean; of one exposure, or of many.

    Parameters
    ----------
    name : str
        Name of the band, such as ``r``.
    plane : Plane
        Where the pixels are.
    masks : tuple of Plane, optional
        Maps of the same shape, as `with_bits` makes them: they say which pixels are bad, and which saturated.
    weight : Plane, optional
        Map of the same shape: inverse variance, image units to the power -2; zero,
        negative and NaN are bad.
    weight_type : {"inverse_variance", "relative", "variance", "rms"}, optional
        What the map holds instead.
    zeropoint : float, optional
        AB magnitude of one image unit; None if the band is not calibrated.
    gain : float, optional
        Electrons per image unit, for the Poisson noise of sources; None: sky noise only.
    saturation : float, optional
        Level of saturation in image units, before background subtraction.
    fwhm : float, optional
        That of stars in pixels, where it is known beforehand; see `Band.seeing`.
    psf : GivenPsf, optional
        Point spread, where it is given; by default stars show it.
    box : int, optional
        Side of the boxes of the background mesh, pixels.
    unit : float, optional
        Image units in one unit of `Band.pixels`; found in the pixels by default.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If a map's shape differs from the image's, or `weight_type` or `box` cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy import Image
    >>> exposure = Image.read({"r": np.zeros((90, 120))}, zeropoint=22.5).bands["r"].exposure
    >>> exposure.name, exposure.plane.shape, exposure.zeropoint
    ('r', (90, 120), 22.5)
    """

    name: str
    plane: Plane
    masks: tuple[Plane, ...] = ()
    weight: Plane | None = None
    weight_type: str = "inverse_variance"
    zeropoint: float | None = None
    gain: float | None = None
    saturation: float | None = None
    fwhm: float | None = None
    psf: GivenPsf | None = None
    box: int = 64
    unit: float | None = None

    def __post_init__(self) -> None:
        if self.weight_type not in WEIGHT_TYPES:
            known = ", ".join(WEIGHT_TYPES)
            msg = f"band {self.name}: weight_type must be one of {known}, not {self.weight_type!r}"
            raise ImageError(msg)
        if not isinstance(self.box, Integral) or self.box < 1:
            msg = f"band {self.name}: box must be a whole number of pixels, at least 1, not {self.box!r}"
            raise ImageError(msg)
        for mask in self.masks:
            check_map("mask", mask, self.plane)
        if self.weight is not None:
            check_map("weight", self.weight, self.plane)

    def read(self, section: Section, unit: float) -> Reading:
        """Pixels of a section, with weights of pixels in so many image units."""
        data = self.plane.read(section)
        bad = ~(np.abs(data) < _NO_DATA)
        saturated = np.zeros(data.shape, dtype=bool) if self.saturation is None else data >= self.saturation
        for mask in self.masks:
            said = mask.read(section)
            kept = said == SATURATED
            saturated |= kept
            bad |= (said != 0) & ~kept  # NaN, too, where the mask itself is masked
        if self.weight is None:
            return Reading(data, bad, None, saturated)
        weight = self.weight.read(section, unit=unit ** WEIGHT_TYPES[self.weight_type])
        weight = as_inverse_variance(weight, self.weight_type)
        return Reading(data, bad | ~usable(weight), weight, saturated)

    def weight_factor(self, ratio: float, *, turned: bool) -> float:
        """Factor on the noise of the weight map, which is `ratio` times that of the pixels; relative maps are common.

        A map that has less noise where the pixels have more is `turned`, and refused.
        """
        origin = f"{self.weight.origin}:"
        wanted = f"it must hold {_WANTED[self.weight_type]}; images.weight_type says what else a map may hold"
        if turned:
            msg = f"{origin} this weight map has less noise where the pixels of {self.plane.origin} have more"
            raise ImageError(f"{msg}; {wanted}")
        if np.isnan(ratio) or 1 / _SAME_NOISE < ratio < _SAME_NOISE:
            return 1.0
        text = f"{origin} the noise of this weight map is {ratio:.2g} times that of the pixels of {self.plane.origin}"
        if self.weight_type != "relative" and not 1 / _OTHER_NOISE < ratio < _OTHER_NOISE:
            raise ImageError(f"{text}; {wanted}")
        # a relative map says nothing else
        level = logging.INFO if self.weight_type == "relative" else logging.WARNING
        logger.log(level, "%s; the map is rescaled to match", text)
        return 1 / ratio


def file_plane(plane: Plane) -> FitsPlane | None:
    """Return the image in a file that a plane reads, altered or not; None where it reads no file."""
    while isinstance(plane, AlteredPlane):
        plane = plane.plane
    return plane if isinstance(plane, FitsPlane) else None


def check_map(key: str, extra: Plane, plane: Plane) -> None:
    """Refuse a map that is not one of the image: of another size or place, or the image itself."""
    label = f"{extra.origin}: this {'weight map' if key == 'weight' else key}"
    if extra.shape != plane.shape:
        msg = f"{label} has shape {extra.shape}, but {plane.origin} has {plane.shape}"
        raise ImageError(msg)
    map_file, file = file_plane(extra), file_plane(plane)
    if map_file is not None and file is not None and map_file.place == file.place:
        msg = f"{label} is the image itself; name the map's extension as images.{key}_hdu"
        raise ImageError(msg)
    if extra.wcs is not None and plane.wcs is not None and is_off(extra.wcs, extra.shape, plane.wcs, plane.shape):
        msg = f"{label} shows another part of the sky than {plane.origin}; its extension is named by images.{key}_hdu"
        raise ImageError(msg)
