"""One band of an image on its own grid: pixels, background, noise, bad and saturated pixels."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.background import Mesh, make_mesh
from astrogalaxy.images.exposure import Exposure, Reading, file_plane
from astrogalaxy.images.fitsfile import to_float32
from astrogalaxy.images.inputs import AlteredPlane
from astrogalaxy.images.parts import elsewhere
from astrogalaxy.images.pixels import Pixels
from astrogalaxy.images.seeing import ABOUT, HALF_LIGHT, SURE, is_about
from astrogalaxy.images.sky import pixel_scale, shifted
from astrogalaxy.images.stars import find_stars
from astrogalaxy.images.tiling import Section
from astrogalaxy.images.times import exposure_time, observed
from astrogalaxy.images.units import pixel_unit
from astrogalaxy.images.weights import WeightSample, usable
from astrogalaxy.images.zeropoint import remark_on_zeropoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astropy.io import fits
    from numpy.typing import NDArray

    from astrogalaxy.images.givenpsf import GivenPsf

__all__ = ["Band"]

logger = logging.getLogger(__name__)

# The seeing is measured on at most this many squares of this side: the memory stays bounded,
# and more stars would not make it better.
_SQUARES, _SQUARE = 3, 1024
# The section that was read last is kept if it has no more pixels: several stages ask for the same tile in turn.
_KEPT = 2048**2
# Taking the noise of light out of that of a pixel leaves this share of the sky's at least.
_LEAST_SKY = 0.7


class Band:
    """One band on its own grid, read by section when its pixels are asked for.

    Made by `Image.read`. A band made from paths pickles small, its mesh included.

    Parameters
    ----------
    exposure : Exposure
        Where the pixels are, and what their values mean. It cannot be changed, because what is measured on it is kept;
        `altered` gives another band.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy import Image
    >>> sky = np.random.default_rng(0).normal(100, 5, (90, 120)).astype("float32")
    >>> band = Image.read({"r": sky}, zeropoint=22.5).bands["r"]
    >>> band.shape, band.zeropoint, bool(abs(band.mesh.background()[0, 0] - 100) < 1)
    ((90, 120), 22.5, True)
    """

    def __init__(self, exposure: Exposure) -> None:
        self._exposure = exposure
        self._unit = exposure.unit
        self._mesh: Mesh | None = None
        self._kept: Pixels | None = None
        self._seeing: float | None = None
        self._stars: NDArray[np.float64] | None = None
        self._shift: tuple[float, float] | None = None
        self._unaltered: Band | None = None  # the band that its weight map was made for, if that is another
        self._wcs: Any = exposure.plane.wcs
        #: What measurement has found out about the band's stars and noise, kept for its other tiles.
        self.starlight: Any = None
        self.noise_factor: float | None = None
        #: Point spread that measurement has learnt from them, or from what is given, likewise.
        self.psf: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def __repr__(self) -> str:
        ny, nx = self.shape
        return f"<Band {self.name}: {nx} x {ny} pixels of {self.origin}>"

    @property
    def exposure(self) -> Exposure:
        """What it was made of."""
        return self._exposure

    @property
    def name(self) -> str:
        """Name of the band, such as ``r``."""
        return self._exposure.name

    @property
    def zeropoint(self) -> float | None:
        """AB magnitude of one image unit; None if the band is not calibrated."""
        return self._exposure.zeropoint

    @property
    def saturation(self) -> float | None:
        """Level of saturation in image units, before background subtraction."""
        return self._exposure.saturation

    @property
    def fwhm(self) -> float | None:
        """That of stars in pixels, where it is known beforehand, rather by the given point spread; see `seeing`."""
        return self._exposure.fwhm if self.given_psf is None else self.given_psf.fwhm

    @property
    def given_psf(self) -> GivenPsf | None:
        """Its point spread, where that is given."""
        return self._exposure.psf

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (ny, nx)."""
        return self._exposure.plane.shape

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
        wcs = self._exposure.plane.wcs
        self._wcs = shifted(wcs, *self._shift) if self._shift and any(self._shift) else wcs

    @property
    def pixel_scale(self) -> float:
        """Pixel size at its centre, arcsec; NaN without WCS."""
        return pixel_scale(self.wcs, self.shape)

    @property
    def header(self) -> fits.Header | None:
        """Header the pixels came with, or None."""
        return self._exposure.plane.header

    @property
    def origin(self) -> str:
        """Path of the file, or a description, for messages."""
        return self._exposure.plane.origin

    @property
    def elsewhere(self) -> tuple[str, str] | None:
        """An extension of its file that shows another part of the sky, and a pattern for both; None without one."""
        file = file_plane(self._exposure.plane)
        return None if file is None else elsewhere(file)

    @property
    def no_wcs(self) -> str:
        """Why it has no WCS, where the headers of its file have one; empty where they have none, or it works."""
        file = file_plane(self._exposure.plane)
        return "" if file is None else file.no_wcs

    @property
    def zeropoint_remark(self) -> str:
        """What is odd about its zero point beside its unit (`remark_on_zeropoint`); empty if nothing is."""
        return remark_on_zeropoint(self._exposure.plane, self.zeropoint)

    @property
    def exposure_time(self) -> float | None:
        """Seconds, by its header; None where that does not tell (`~astrogalaxy.images.times.exposure_time`)."""
        return exposure_time(self._exposure.plane.keywords)

    @property
    def mjd(self) -> float | None:
        """When it was taken, by its header; None where that does not tell (`~astrogalaxy.images.times.observed`)."""
        return observed(self._exposure.plane.keywords)

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
            self._unit = pixel_unit(self._exposure.plane.read, self.shape)
        return self._unit

    @property
    def gain(self) -> float | None:
        """Electrons in one unit of `pixels`, given or by the weight map; None where only the sky's noise is known."""
        if self._exposure.gain is not None:
            return self._exposure.gain * self.unit
        return self.unit / self.mesh.photon if self._exposure.weight is not None and self.mesh.photon else None

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
        box = self._exposure.box
        if self._exposure.weight is None:
            return make_mesh(lambda part: self._read(part)[:2], self.shape, box=box, origin=self.origin)
        sample = WeightSample(lambda part: self._read(part)[:3])
        # the noise of the pixels alone, to which the map is compared
        mesh = make_mesh(sample.read, self.shape, box=box, uneven=False, origin=self.origin)
        ratio, turned = sample.ratio(mesh)
        factor = self._exposure.weight_factor(ratio * self.unit, turned=turned)
        if self._unaltered is not None:  # the map knows nothing of what was laid there
            return replace(mesh, weight_factor=factor, photon=self._unaltered.mesh.photon)
        photon = sample.photon(mesh, factor * self.unit, ratio)
        if photon:
            text = "%s: this weight map has the noise of sources, too (%.3g electrons in an image unit); taken out"
            logger.info(text, self._exposure.weight.origin, 1 / photon)
        return replace(mesh, weight_factor=factor, photon=photon)

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
        error = ABOUT if self.given_psf is None else SURE
        seeing, stars, (number, other) = find_stars(map(self.pixels, self._squares()), fwhm=self.fwhm, error=error)
        if self.fwhm is not None and not is_about(seeing, self.fwhm):
            text = "%s: seeing is %.1f pixels by what is given, but %d stars are %.1f wide, and are believed"
            logger.warning(text, self.origin, self.fwhm, len(stars), seeing)
        if self.fwhm is not None and number:
            text = (
                "%s: no source is a star by the %s of %.1f pixels that is given; if the %d of about %.1f are stars "
                "rather than compact galaxies, it is wrong: leave it out"
            )
            what = "seeing" if self.given_psf is None else "width of the PSF"
            logger.warning(text, self.origin, what, self.fwhm, number, other / HALF_LIGHT)
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
        data, bad, weight, saturated = self._read(section)
        if self.mesh.blank is not None:
            bad |= data == self.mesh.blank
        data -= self.mesh.background(section)
        noise = self.mesh.noise(section)
        if self.unit != 1.0:
            data, noise = (to_float32(part, self.unit) for part in (data, noise))
        data[bad] = 0
        if weight is not None:
            mapped = data if self._unaltered is None else self._unaltered.pixels(section).data
            noise = self._weighted(noise, weight, mapped)
        return Pixels(data, noise, bad, saturated, section)

    def _weighted(
        self, usual: NDArray[np.float32], weight: NDArray[np.float32], light: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Noise of the sky by the weight map, the usual one where it has none; what light has added is taken out."""
        good, photon = usable(weight), np.float32(self.mesh.photon / self.unit)
        noise = usual.copy() if photon else usual
        np.divide(self.mesh.weight_factor, np.sqrt(weight, where=good, out=weight), where=good, out=noise)
        if not photon:
            return noise
        least = np.minimum(noise, np.float32(_LEAST_SKY) * usual)
        return np.sqrt(np.maximum(np.square(noise) - photon * light, np.square(least)))

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
        plane = AlteredPlane(self._exposure.plane, alter, self.mesh.blank)
        band = Band(replace(self._exposure, plane=plane, unit=self.unit))
        band.shift = self.shift
        if self.mesh.photon:
            band._unaltered = self if self._unaltered is None else self._unaltered
        return band

    def _read(self, section: Section) -> Reading:
        return self._exposure.read(section, self.unit)


def _starts(size: int) -> list[int]:
    """Where evenly spread squares start along one axis."""
    last = max(size - _SQUARE, 0)
    return sorted({round(last * i / (_SQUARES - 1)) for i in range(_SQUARES)})
