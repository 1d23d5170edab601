"""One band of an image on its own grid: pixels, background, noise, bad and saturated pixels."""

from __future__ import annotations

import logging
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.background import Mesh, make_mesh
from astrogalaxy.images.fitsfile import FitsPlane, to_float32
from astrogalaxy.images.inputs import AlteredPlane
from astrogalaxy.images.parts import elsewhere
from astrogalaxy.images.pixels import Pixels
from astrogalaxy.images.seeing import is_about
from astrogalaxy.images.sky import is_off, shifted
from astrogalaxy.images.stars import find_stars
from astrogalaxy.images.tiling import Section
from astrogalaxy.images.units import pixel_unit
from astrogalaxy.images.weights import WEIGHT_TYPES, WeightSample, as_inverse_variance, usable
from astrogalaxy.images.zeropoint import zeropoint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astropy.io import fits
    from numpy.typing import NDArray

    from astrogalaxy.images.inputs import Plane

__all__ = ["Band"]

logger = logging.getLogger(__name__)

# The seeing is measured on at most this many squares of this side: the memory stays bounded,
# and more stars would not make it better.
_SQUARES, _SQUARE = 3, 1024
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
# The section that was read last is kept if it has no more pixels: several stages ask for the same tile in turn.
_KEPT = 2048**2


class Band:
    """One band on its own grid, read by section when its pixels are asked for.

    Made by `Image.read`. A band made from paths pickles small, its mesh included.

    Parameters
    ----------
    name : str
        Name of the band, such as ``r``.
    plane : Plane
        Where the pixels are.
    masks : tuple of Plane, optional
        Maps of the same shape, in which non-zero (or NaN) is bad.
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
        That of stars in pixels, where it is known beforehand; see `seeing`.
    box : int, optional
        Side of the boxes of the background mesh, pixels.
    unit : float, optional
        Image units in one unit of `pixels`; found in the pixels by default.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If a map's shape differs from the image's, or `weight_type` or `box` cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy import Image
    >>> sky = np.random.default_rng(0).normal(100, 5, (90, 120)).astype("float32")
    >>> band = Image.read({"r": sky}, zeropoint=22.5).bands["r"]
    >>> band.shape, band.zeropoint, bool(abs(band.mesh.background()[0, 0] - 100) < 1)
    ((90, 120), 22.5, True)
    """

    def __init__(
        self,
        name: str,
        plane: Plane,
        *,
        masks: tuple[Plane, ...] = (),
        weight: Plane | None = None,
        weight_type: str = "inverse_variance",
        zeropoint: float | None = None,
        gain: float | None = None,
        saturation: float | None = None,
        fwhm: float | None = None,
        box: int = 64,
        unit: float | None = None,
    ) -> None:
        if weight_type not in WEIGHT_TYPES:
            msg = f"band {name}: weight_type must be one of {', '.join(WEIGHT_TYPES)}, not {weight_type!r}"
            raise ImageError(msg)
        if not isinstance(box, Integral) or box < 1:
            msg = f"band {name}: box must be a whole number of pixels, at least 1, not {box!r}"
            raise ImageError(msg)
        self.name = name
        self.zeropoint = zeropoint
        self.saturation = saturation
        self.fwhm = fwhm
        self.box = box
        self._plane, self._masks, self._weight, self._weight_type = plane, masks, weight, weight_type
        self._gain, self._unit = gain, (None if unit is None else float(unit))
        self._mesh: Mesh | None = None
        self._kept: Pixels | None = None
        self._seeing: float | None = None
        self._stars: NDArray[np.float64] | None = None
        self._shift: tuple[float, float] | None = None
        self._wcs: Any = plane.wcs
        #: What measurement has found out about the band's stars and noise, kept for its other tiles.
        self.starlight: Any = None
        self.noise_factor: float | None = None
        #: Point spread that measurement has learnt from them, likewise.
        self.psf: Any = None
        for key, extra in [("mask", mask) for mask in masks] + [("weight", weight)]:
            if extra is not None:
                _check_map(key, extra, plane)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def __repr__(self) -> str:
        ny, nx = self.shape
        return f"<Band {self.name}: {nx} x {ny} pixels of {self.origin}>"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (ny, nx)."""
        return self._plane.shape

    @property
    def wcs(self) -> Any:
        """Celestial WCS, `shift` included, or None."""
        return self._wcs

    @property
    def shift(self) -> tuple[float, float] | None:
        """By how much its stars lie beside where the WCS of its file puts them, pixels along x and y.

        None as long as nobody has looked (`Image.register`). Set it to restore a value measured earlier.
        """
        return self._shift

    @shift.setter
    def shift(self, shift: tuple[float, float] | None) -> None:
        """Put the WCS right by a shift."""
        self._shift = None if shift is None else (float(shift[0]), float(shift[1]))
        self._wcs = shifted(self._plane.wcs, *self._shift) if self._shift and any(self._shift) else self._plane.wcs

    @property
    def header(self) -> fits.Header | None:
        """Header the pixels came with, or None."""
        return self._plane.header

    @property
    def origin(self) -> str:
        """Path of the file, or a description, for messages."""
        return self._plane.origin

    @property
    def elsewhere(self) -> tuple[str, str] | None:
        """An extension of its file that shows another part of the sky, and a pattern for both; None without one."""
        file = _file_plane(self._plane)
        return None if file is None else elsewhere(file)

    @property
    def no_wcs(self) -> str:
        """Why it has no WCS, where the headers of its file have one; empty where they have none, or it works."""
        file = _file_plane(self._plane)
        return "" if file is None else file.no_wcs

    @property
    def header_zeropoint(self) -> float | None:
        """Zero point by the unit in its header, None where that does not tell (`zeropoint_of`)."""
        return zeropoint_of(self._plane)

    @property
    def unit(self) -> float:
        """Image units in one unit of `pixels`: 1, or a power of two near the noise where that is very far from 1.

        Found in some rows of pixels when first asked for: sums of squares of pixels in erg/s/cm2/Hz would be 0 in
        32 bits. The mesh, the level of saturation and the zero point are in image units all the same.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the band's file cannot be read.
        """
        if self._unit is None:
            self._unit = pixel_unit(self._plane.read, self.shape)
        return self._unit

    @property
    def gain(self) -> float | None:
        """Electrons in one unit of `pixels`; None where only the noise of the sky is known."""
        return None if self._gain is None else self._gain * self.unit

    @property
    def mesh(self) -> Mesh:
        """Background and noise of the sky, measured on the whole band when first asked for.

        Set it to restore a mesh computed earlier.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the band has no usable pixels, its file cannot be read, or its weight map is not one of inverse
            variances.
        """
        if self._mesh is None:
            self._mesh = self._made()
        return self._mesh

    @mesh.setter
    def mesh(self, mesh: Mesh) -> None:
        """Restore a mesh that was computed earlier."""
        if tuple(mesh.shape) != tuple(self.shape):
            msg = f"{self.origin}: a background mesh for shape {mesh.shape} does not fit its shape {self.shape}"
            raise ImageError(msg)
        self._mesh, self._kept = mesh, None

    def _made(self) -> Mesh:
        if self._weight is None:
            return make_mesh(lambda part: self._read(part)[:2], self.shape, box=self.box, origin=self.origin)
        sample = WeightSample(self._read)
        mesh = make_mesh(sample.read, self.shape, box=self.box, origin=self.origin)
        return replace(mesh, weight_factor=self._weight_factor(*sample.ratio(mesh)))

    @property
    def seeing(self) -> float:
        """Half-light diameter of stars in pixels (for a Gaussian its FWHM), measured when first asked for.

        Where `fwhm` is known it is near that, and taken from it where there are hardly any stars; without `fwhm` it is
        NaN where the stars do not tell it to 15 %. Large bands are sampled on nine squares. Set it to restore a value
        measured earlier.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the band has no usable pixels, or its file cannot be read.
        """
        if self._seeing is None:
            self._seeing, self._stars = self._found_stars()
        return self._seeing

    @seeing.setter
    def seeing(self, seeing: float) -> None:
        """Restore a value that was measured earlier."""
        self._seeing = float(seeing)

    @property
    def stars(self) -> NDArray[np.float64]:
        """The clear stars on which the seeing was measured: x and y, shape (n, 2), pixels.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the band has no usable pixels, or its file cannot be read.
        """
        if self._stars is None:
            self._stars = self._found_stars()[1]
        return self._stars

    def _found_stars(self) -> tuple[float, NDArray[np.float64]]:
        seeing, stars = find_stars(map(self.pixels, self._squares()), fwhm=self.fwhm)
        if self.fwhm is not None and not is_about(seeing, self.fwhm):
            text = "%s: seeing is %.1f pixels by what is given, but %d stars are %.1f wide, and are believed"
            logger.warning(text, self.origin, self.fwhm, len(stars), seeing)
        return seeing, stars

    def _squares(self) -> Iterator[Section]:
        """Sections that stand for the band: all of it where it is small."""
        ny, nx = self.shape
        if ny * nx <= (_SQUARES * _SQUARE) ** 2:
            yield Section.whole(self.shape)
            return
        for y in _starts(ny):
            for x in _starts(nx):
                yield Section(x, min(x + _SQUARE, nx), y, min(y + _SQUARE, ny))

    def pixels(self, section: Section | None = None) -> Pixels:
        """Read a section: background-subtracted pixels with their noise and masks.

        Parameters
        ----------
        section : Section, optional
            Which pixels, within the band; default all.

        Returns
        -------
        Pixels
            Not to be changed: others may be given the same arrays. A pixel has the same values whatever section it is
            read with.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the section leaves the band, the file cannot be read, or the band has no
            usable pixels, or its weight map is not one of inverse variances.
        """
        section = self.checked(section)
        kept = self._kept
        if kept is not None and kept.section.holds(section):
            return kept.part(section)
        made = self._prepared(section)
        self._kept = made if made.data.size <= _KEPT else None
        return made

    def checked(self, section: Section | None) -> Section:
        """The section, by default all of the band; an `ImageError` where it is empty or leaves the band."""
        if section is None:
            return Section.whole(self.shape)
        section = Section(*(int(edge) for edge in section))
        if section.clip(self.shape) != section or 0 in section.shape:
            msg = f"{self.origin}: {section} does not lie within its {self.shape[1]} x {self.shape[0]} pixels"
            raise ImageError(msg)
        return section

    def rounded(self, section: Section) -> Section:
        """The section, or all of a small band where that is little more, so that it is kept for what comes next."""
        whole = Section.whole(self.shape)
        return section.rounded(whole) if whole.size <= _KEPT else section

    def keep(self, section: Section) -> None:
        """Read a section ahead, if it is small enough to be kept, for what will ask for parts of it."""
        if 0 < section.size <= _KEPT:
            self.pixels(self.rounded(section))

    def _prepared(self, section: Section) -> Pixels:
        data, bad, weight = self._read(section)
        if self.mesh.blank is not None:
            bad |= data == self.mesh.blank
        saturated = np.zeros(data.shape, dtype=bool) if self.saturation is None else data >= self.saturation
        data -= self.mesh.background(section)
        noise = self.mesh.noise(section)
        if self.unit != 1.0:
            data, noise = (to_float32(part, self.unit) for part in (data, noise))
        if weight is not None:
            good = usable(weight)
            np.divide(self.mesh.weight_factor, np.sqrt(weight, where=good, out=weight), where=good, out=noise)
        data[bad] = 0
        return Pixels(data, noise, bad, saturated, section)

    def altered(self, alter: Callable[[Section, NDArray[np.float32]], NDArray[np.float32]]) -> Band:
        """Return the same band with pixels that are changed as they are read.

        Maps, calibration, shift and areas without data stay; sky and seeing are measured anew, on the changed pixels.

        Parameters
        ----------
        alter : callable
            Gives the new pixels of a section from the section and its pixels as in the file
            (background and NaN included); a pixel must come out the same whatever the section.

        Returns
        -------
        Band
            It reads from the same files.
        """
        band = Band(
            self.name, AlteredPlane(self._plane, alter, self.mesh.blank), masks=self._masks, weight=self._weight,
            weight_type=self._weight_type, zeropoint=self.zeropoint, gain=self._gain, saturation=self.saturation,
            fwhm=self.fwhm, box=self.box, unit=self.unit,
        )  # fmt: skip
        band.shift = self.shift
        return band

    def _read(self, section: Section) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32] | None]:
        """Pixels as in the file, NaN included; which of them are bad; and the weights of pixels in the band's unit."""
        data = self._plane.read(section)
        bad = ~(np.abs(data) < _NO_DATA)
        for mask in self._masks:
            bad |= mask.read(section) != 0
        if self._weight is None:
            return data, bad, None
        weight = self._weight.read(section, unit=self.unit ** WEIGHT_TYPES[self._weight_type])
        weight = as_inverse_variance(weight, self._weight_type)
        return data, bad | ~usable(weight), weight

    def _weight_factor(self, ratio: float, turned: bool) -> float:
        """Factor that brings the noise of the map to that of the pixels; relative weights are common."""
        ratio *= self.unit
        wanted = f"it must hold {_WANTED[self._weight_type]}; images.weight_type says what else a map may hold"
        if turned:
            msg = f"{self._weight.origin}: this weight map has less noise where the pixels of {self.origin} have more"
            raise ImageError(f"{msg}; {wanted}")
        if np.isnan(ratio) or 1 / _SAME_NOISE < ratio < _SAME_NOISE:
            return 1.0
        text = f"{self._weight.origin}: the noise of this weight map is {ratio:.2g} times that of the pixels of"
        text = f"{text} {self.origin}"
        if self._weight_type != "relative" and not 1 / _OTHER_NOISE < ratio < _OTHER_NOISE:
            raise ImageError(f"{text}; {wanted}")
        logger.warning("%s; it is divided by that", text)
        return 1 / ratio


def _file_plane(plane: Plane) -> FitsPlane | None:
    """Return the image in a file that a plane reads, altered or not; None where it reads no file."""
    while isinstance(plane, AlteredPlane):
        plane = plane.plane
    return plane if isinstance(plane, FitsPlane) else None


def _check_map(key: str, extra: Plane, plane: Plane) -> None:
    """Refuse a map that is not one of the image: of another size or place, or the image itself."""
    label = f"{extra.origin}: this {'weight map' if key == 'weight' else key}"
    if extra.shape != plane.shape:
        msg = f"{label} has shape {extra.shape}, but {plane.origin} has {plane.shape}"
        raise ImageError(msg)
    map_file, file = _file_plane(extra), _file_plane(plane)
    if map_file is not None and file is not None and map_file.place == file.place:
        msg = f"{label} is the image itself; name the map's extension as images.{key}_hdu"
        raise ImageError(msg)
    if extra.wcs is not None and plane.wcs is not None and is_off(extra.wcs, extra.shape, plane.wcs, plane.shape):
        msg = f"{label} shows another part of the sky than {plane.origin}; its extension is named by images.{key}_hdu"
        raise ImageError(msg)


def _starts(size: int) -> list[int]:
    """Where evenly spread squares start along one axis."""
    last = max(size - _SQUARE, 0)
    return sorted({round(last * i / (_SQUARES - 1)) for i in range(_SQUARES)})
