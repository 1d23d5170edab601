"""Images of one patch of sky in several bands."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.errors import ImageError
from astrogalaxy.images.align import Aligned, resample, significance
from astrogalaxy.images.band import Band
from astrogalaxy.images.emptyapertures import noise_factor
from astrogalaxy.images.grids import GridMap, map_grid
from astrogalaxy.images.register import find_shifts
from astrogalaxy.images.settings import BandSettings
from astrogalaxy.images.show import draw_image, image_html
from astrogalaxy.images.sky import map_pixels
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from typing import Self

    from astropy.units import Quantity
    from numpy.typing import NDArray

__all__ = ["Image"]

logger = logging.getLogger(__name__)


# A band whose pixels are so many times as wide as the reference's is interpolated onto finer pixels.
_FINER = 1.1


class Image:
    """Bands of one patch of sky, and the reference band on whose grid sources are found.

    Made by `Image.read`. Pixels are read when they are asked for; an image made from
    paths can be pickled and sent to another process.

    Parameters
    ----------
    bands : dict of str to Band
        In the order of their wavelength, shortest first.
    reference : str, optional
        Name of the reference band; default the middle one (of an even number, the redder
        of the two in the middle).
    name : str, optional
        Name of the image, such as that of the field.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If there are no bands, the reference is not one of them, or a band cannot be
        aligned to the reference.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy import Image
    >>> sky = np.random.default_rng(0).normal(100, 5, (90, 120))
    >>> Image.read({"g": sky, "r": sky, "i": sky}, reference="r", name="m31")
    <Image m31: 120 x 90 pixels, bands g, r, i, reference r>
    """

    def __init__(self, bands: dict[str, Band], *, reference: str | None = None, name: str = "") -> None:
        if not isinstance(bands, Mapping) or not all(isinstance(band, Band) for band in bands.values()):
            msg = "Image takes opened bands, by their names; Image.read opens files, HDUs, arrays and NDData"
            raise ImageError(msg)
        if not bands:
            msg = "an image needs at least one band"
            raise ImageError(msg)
        self.bands = dict(bands)
        self.reference = list(bands)[len(bands) // 2] if reference is None else reference
        self.name = name
        if self.reference not in self.bands:
            msg = f"the reference band {reference!r} is not one of {', '.join(self.bands)}"
            raise ImageError(msg)
        #: Galaxies that are larger than what detection sees at once, as it has found them, kept for its other tiles.
        self.large: Any = None
        self._grids: dict[str, GridMap | None] = {}
        for band in self.bands.values():
            if band.wcs is None or self.bands[self.reference].wcs is None:
                map_grid(self.bands[self.reference], band)

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        reference: str | None = None,
        hdu: str | int | Mapping[str, str | int] = "auto",
        plane: int | Mapping[str, int] | None = None,
        zeropoint: float | str | Mapping[str, Any] | None = None,
        gain: float | str | Mapping[str, Any] | None = None,
        saturation: float | str | Mapping[str, Any] | None = None,
        seeing: float | str | Quantity | Mapping[str, Any] | None = None,
        psf: Any = None,
        psf_hdu: str | int | Mapping[str, str | int] = "auto",
        mask: Any = None,
        mask_hdu: str | int | Mapping[str, str | int] = "auto",
        mask_bits: int | str | Sequence[int | str] | None = None,
        weight: Any = None,
        weight_hdu: str | int | Mapping[str, str | int] = "auto",
        weight_type: str = "inverse_variance",
        name: str = "",
        box: int = 64,
    ) -> Self:
        """Open the images of one patch of sky.

        Headers are read at once; pixels, and with them damage that only shows in the
        pixels of compressed files, when they are asked for.

        Parameters
        ----------
        source : mapping of str to image, or image
            For each band, shortest wavelength first, one of: the path of a FITS file
            (plain, gzip, bzip2, xz, tile-compressed), a pair (path, HDU), an
            `~astropy.io.fits` HDU or HDU list, a 2-D array, a pair (array, WCS or
            header), an `~astropy.nddata.Cutout2D`, or an `~astropy.nddata.NDData` with its
            mask, uncertainty, unit and WCS. Arrays may be anything that is cut by slices, such as Dask arrays, and are
            never modified. A single image becomes the band ``image``.
        reference : str, optional
            Band on whose grid sources are found; default the middle one.
        hdu : str, int or mapping, optional
            HDU of files: number, name (``SCI``, or ``SCI,2`` of several), or 'auto' for the first 2-D image, rather one
            with a celestial WCS; or these by band.
        plane : int or mapping, optional
            Plane of cubes in files, from 0; or this by band.
        zeropoint : float, str or mapping, optional
            AB magnitude of one image unit: a number, a header keyword, 'auto' (what the header says of the unit, see
            `~astrogalaxy.images.zeropoint.zeropoint_of`), or these by band.
            Without it, units such as nJy that come with an array decide; else the band is
            not calibrated.
        gain : float, str or mapping, optional
            Electrons per image unit, given in the same ways.
        saturation : float, str or mapping, optional
            Level in image units from which pixels are saturated, given in the same ways;
            default the header's SATURATE, if it has one. Stars with blunt cores are recognised as
            saturated without it.
        seeing : float, str, Quantity or mapping, optional
            FWHM of stars in arcsec (in pixels without a WCS), where it is known, given in the same ways: for images
            with few stars or none. Stars are only looked for among what is about so wide, and tell it better where
            there are some.
        psf : image, path or mapping of str to them, optional
            Point spread of all bands, or by band: an image, a model of PSFEx, or a grid of images from STScI (see
            `~astrogalaxy.images.read_psf`). It takes the place of `seeing`. Without it the bands' own stars show it.
        psf_hdu : str, int or mapping, optional
            HDU of files of point spreads; the only one that has one by default.
        mask : image or mapping of str to image, optional
            Map of bad pixels by band, or one for all: non-zero is bad.
        mask_hdu : str, int or mapping, optional
            HDU of mask files, given as `hdu`.
        mask_bits : int, str or sequence of them, optional
            Bits of masks that count, from 0, or names of planes in the mask's header (``MP_BAD``); all by default.
            Pixels of a plane that it calls ``SAT`` are saturated, not bad.
        weight : image or mapping of str to image, optional
            Map of inverse variances by band, or one for all: zero is bad.
        weight_hdu : str, int or mapping, optional
            HDU of weight files, given as `hdu`.
        weight_type : {"inverse_variance", "relative", "variance", "rms"}, optional
            What weight maps hold instead of inverse variances in image units.
        name : str, optional
            Name of the image.
        box : int, optional
            Side of the boxes in which the sky is measured, pixels.

        Returns
        -------
        Image
            With the bands in the given order.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If a file is missing, truncated or has no 2-D image, if a setting names a band
            or keyword that is not there, or if a band cannot be aligned.

        Examples
        --------
        >>> import numpy as np
        >>> sky = np.random.default_rng(0).normal(100, 5, (90, 120))
        >>> image = Image.read(sky)
        >>> image.shape, image.aligned().snr.shape
        ((90, 120), (1, 90, 120))
        """
        sources = dict(source) if isinstance(source, Mapping) else {"image": source}
        given = BandSettings(
            hdu=hdu, plane=plane, zeropoint=zeropoint, gain=gain, saturation=saturation, seeing=seeing, psf=psf,
            psf_hdu=psf_hdu, mask=mask, mask_hdu=mask_hdu, mask_bits=mask_bits, weight=weight, weight_hdu=weight_hdu,
            weight_type=weight_type, box=box,
        ).by_band(sources)  # fmt: skip
        bands = {band: Band(given[band].open(band, source)) for band, source in sources.items()}
        for band in bands.values():
            if remark := band.zeropoint_remark:
                logger.warning("%s", remark)
        return cls(bands, reference=reference, name=name)

    def __repr__(self) -> str:
        ny, nx = self.shape
        label = f" {self.name}" if self.name else ""
        return f"<Image{label}: {nx} x {ny} pixels, bands {', '.join(self.bands)}, reference {self.reference}>"

    def _repr_html_(self) -> str:
        """A small colour picture of the image, or of the middle of a large one, for notebooks."""
        ny, nx = self.shape
        scale = f", {self.pixel_scale:.3g} arcsec per pixel" if np.isfinite(self.pixel_scale) else ""
        line = f"{nx} x {ny} pixels{scale}; bands {', '.join(self.bands)}, reference {self.reference}"
        return image_html(self.aligned, self.shape, name=self.name, line=line)

    def plot(self, *, catalog: Any = None, section: Section | None = None, ax: Any = None, longest: int = 1400) -> Any:
        """Draw the image in colour, with sources over it if they are given.

        Parameters
        ----------
        catalog : SourceCatalog, optional
            Sources to mark; see `SourceCatalog.plot`.
        section : Section, optional
            A part of the image; default all of it.
        ax : matplotlib Axes, optional
            Where to draw; by default new axes, with sky coordinates if the image has a WCS.
        longest : int, optional
            Longest side of the picture in pixels; larger images are averaged in blocks.

        Returns
        -------
        matplotlib Axes
            In pixels of the reference band.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the catalogue is none that can be drawn.

        Examples
        --------
        >>> import numpy as np
        >>> ax = Image.read(np.random.default_rng(0).normal(100, 5, (90, 120))).plot()
        >>> tuple(float(x) for x in ax.get_xlim())
        (-0.5, 119.5)
        """
        if catalog is not None and not hasattr(catalog, "plot"):
            msg = f"a {type(catalog).__name__} is no catalogue that can be drawn; make a SourceCatalog of it"
            raise ImageError(msg)
        section = Section.whole(self.shape) if section is None else section
        ax = draw_image(self.aligned, section, wcs=self.wcs, ax=ax, longest=longest)
        if catalog is not None:
            catalog.plot(ax=ax, image=self)
        return ax

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the reference band."""
        return self.bands[self.reference].shape

    @property
    def wcs(self) -> Any:
        """WCS of the reference band, or None."""
        return self.bands[self.reference].wcs

    @property
    def pixel_scale(self) -> float:
        """Pixel size of the reference band at its centre, arcsec; NaN without WCS."""
        return self.bands[self.reference].pixel_scale

    def grid(self, band: str) -> GridMap | None:
        """Map from the reference grid to a band's; None where they are the same grid."""
        if band not in self._grids:
            self._grids[band] = map_grid(self.bands[self.reference], self.bands[band])
        return self._grids[band]

    def to_band(
        self, band: str, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions of the reference grid as they lie on a band's.

        NaN where its projection does not reach; far outside of it, where its distortion has no inverse, anything.

        Parameters
        ----------
        band : str
            Name of the band.
        x, y : ndarray
            Pixels of the reference band.

        Returns
        -------
        x, y : ndarray
            Pixels of the band; the same arrays where it has the same grid.
        """
        if self.grid(band) is None:
            return x, y
        return map_pixels(self.wcs, self.bands[band].wcs, x, y)

    def on_band(self, band: str, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes of the reference grid as they lie on a band's; those that are outside it are left out.

        Parameters
        ----------
        band : str
            Name of the band.
        boxes : ndarray, shape (n, 4)
            ``x_min, x_max, y_min, y_max``, pixels of the reference band.

        Returns
        -------
        ndarray, shape (m, 4)
            The same in pixels of the band.
        """
        grid = self.grid(band)
        if grid is None:
            return boxes
        placed = []
        for x_min, x_max, y_min, y_max in boxes:
            edges = (int(x_min), int(x_max) + 1, int(y_min), int(y_max) + 1)
            x, y = grid.positions(Section(*edges).clip(self.shape))
            if np.isfinite(x).any():
                placed.append([np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)])
        return np.array(placed).reshape(-1, 4)

    def register(self) -> None:
        """Put right the WCS of bands whose stars lie beside where it puts them; once for each band.

        The WCS of the reference band is believed, and the others are shifted (`Band.shift`). What finds or measures
        sources does this first.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If a band cannot be read or has no usable pixels.

        Examples
        --------
        >>> import numpy as np
        >>> from astrogalaxy import Image
        >>> sky = np.random.default_rng(0).normal(100, 5, (90, 120))
        >>> image = Image.read({"g": sky, "r": sky})
        >>> image.register()
        >>> image.bands["g"].shift
        (0.0, 0.0)
        """
        reference = self.bands[self.reference]
        if reference.shift is None:
            reference.shift = 0.0, 0.0
        new = {name: band for name, band in self.bands.items() if band.shift is None}
        for (name, band), shift in zip(new.items(), find_shifts(reference, new.values()), strict=True):
            band.shift = shift
            self._grids.pop(name, None)

    @property
    def shifts(self) -> dict[str, tuple[float, float]]:
        """Pixels along x and y by which `register` has shifted bands; without those that it left."""
        return {name: band.shift for name, band in self.bands.items() if band.shift and any(band.shift)}

    def _oversampled(self, name: str) -> float:
        """By how much more a band's sums scatter once it is interpolated onto a finer reference: its noise is blurred.

        The light and the variance of an area are spread over more pixels, the square of the ratio of scales, and each
        is again in units of its own noise. Bands of the same scale are left as weights have seen them.
        """
        grid, ratio = self.grid(name), self.bands[name].pixel_scale / self.pixel_scale
        return 1.0 if grid is None or not ratio > _FINER else max(grid.scale * ratio, 1.0)

    def aligned(self, section: Section | None = None) -> Aligned:
        """All bands of a section on the reference grid, in units of the sky noise.

        Only the parts of other bands that cover the section are read. Bands on the
        reference's grid (to 0.001 pixel) are not resampled.

        Parameters
        ----------
        section : Section, optional
            Which pixels of the reference band; default all.

        Returns
        -------
        Aligned
            A pixel has the same values whatever section it is part of.

        Raises
        ------
        astrogalaxy.errors.ImageError
            If the section is empty or leaves the image, or a band cannot be read or has no usable pixels.
        """
        section = self.bands[self.reference].checked(section)
        snr = np.empty((len(self.bands), *section.shape), dtype=np.float32)
        bad = np.empty(snr.shape, dtype=bool)
        for i, (name, band) in enumerate(self.bands.items()):
            grid = self.grid(name)
            made = significance(band, section) if grid is None else resample(band, grid, section)
            snr[i], bad[i] = made
        factors = [noise_factor(band) * self._oversampled(name) for name, band in self.bands.items()]
        together = float(np.sqrt(np.mean(np.square(factors))))
        return Aligned(snr, bad, tuple(self.bands), section, together, tuple(factors))
