"""Everything a user may hand in as an image: files, HDUs, arrays with a WCS, NDData."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from astropy.io import fits

from astrogalaxy.errors import ImageError
from astrogalaxy.images.bits import Bits, bits_of
from astrogalaxy.images.extensions import choose_hdu
from astrogalaxy.images.fitsfile import find_plane, to_float32, wcs_of
from astrogalaxy.images.wcs import find_wcs, read_wcs, usable_wcs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astrogalaxy.images.tiling import Section

__all__ = ["AlteredPlane", "ArrayPlane", "Plane", "as_plane", "from_asinh", "linear_plane", "with_bits"]

_ASINH = {"BSOFTEN", "BOFFSET"}


class Plane(Protocol):
    """A 2-D image whose pixels are read by section."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def wcs(self) -> Any:
        """Celestial WCS, or None."""

    @property
    def header(self) -> fits.Header | None:
        """Header of the image, or None."""

    @property
    def keywords(self) -> Mapping[str, Any]:
        """Header cards that concern the image, of its own and the primary header."""

    @property
    def origin(self) -> str:
        """File or description, for messages."""

    def read(self, section: Section, *, unit: float = 1.0) -> NDArray[np.float32]:
        """Pixels of a section in so many image units: a new native float32 array, NaN where there are none."""


@dataclass(frozen=True)
class ArrayPlane:
    """An image in memory, or any array-like that is cut by slices (Dask, HDF5, ...).

    Parameters
    ----------
    array : array_like, shape (ny, nx)
        Never modified. Entries masked in a masked array are read as NaN.
    shape : (int, int)
        Its shape.
    wcs : astropy.wcs.wcsapi.BaseHighLevelWCS or None
        Its WCS, if it has one.
    header : astropy.io.fits.Header or None
        Its header, if it has one.
    origin : str
        Description, for messages.
    mask, weight : array_like, shape (ny, nx), or None
        What came with the array: non-zero is bad; inverse variance.
    unit : astropy.units.UnitBase or None
        Unit of a pixel.
    bits : Bits or None
        What its bits mean, where it is a mask: its pixels are what they say.
    """

    array: Any
    shape: tuple[int, int]
    wcs: Any
    header: fits.Header | None
    origin: str
    mask: Any = None
    weight: Any = None
    unit: Any = None
    bits: Bits | None = None

    @property
    def keywords(self) -> Mapping[str, Any]:
        """Cards of the header."""
        return self.header if self.header is not None else {}

    def read(self, section: Section, *, unit: float = 1.0) -> NDArray[np.float32]:
        """Pixels of a section in so many image units, as a new native float32 array."""
        part = self.array[section.slices]
        values = np.ma.getdata(part) if isinstance(part, np.ma.MaskedArray) else part
        pixels = to_float32(values if self.bits is None else self.bits.say(values), unit)
        if isinstance(part, np.ma.MaskedArray):
            pixels[np.ma.getmaskarray(part)] = np.nan
        return pixels


@dataclass(frozen=True)
class AlteredPlane:
    """An image whose pixels are changed as they are read, so that it need never be held whole.

    Parameters
    ----------
    plane : Plane
        The image.
    alter : callable
        Gives the new pixels of a section from the section and its pixels, NaN included; a
        pixel must come out the same whatever section it is part of.
    blank : float, optional
        Value of pixels without data: they are NaN then, for they may change to anything.
    """

    plane: Plane
    alter: Callable[[Section, NDArray[np.float32]], NDArray[np.float32]]
    blank: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.plane.shape

    @property
    def wcs(self) -> Any:
        """Celestial WCS, or None."""
        return self.plane.wcs

    @property
    def header(self) -> fits.Header | None:
        """Header of the image, or None."""
        return self.plane.header

    @property
    def keywords(self) -> Mapping[str, Any]:
        """Cards of the header."""
        return self.plane.keywords

    @property
    def origin(self) -> str:
        """File or description."""
        return self.plane.origin

    def read(self, section: Section, *, unit: float = 1.0) -> NDArray[np.float32]:
        """Pixels of a section, changed, in so many image units."""
        pixels = self.plane.read(section)
        if self.blank is not None:
            pixels[pixels == self.blank] = np.nan
        altered = self.alter(section, pixels)
        return altered if unit == 1.0 and altered.dtype == np.float32 else to_float32(altered, unit)


def linear_plane(plane: Plane) -> Plane:
    """The same image linear in flux: stacks of Pan-STARRS are on an asinh scale, which their header tells.

    Notes
    -----
    A value v is the flux BOFFSET + 2 BSOFTEN sinh(0.4 ln(10) v); see Waters et al. 2020, ApJS 251, 4.
    """
    if not _ASINH.issubset(plane.keywords):
        return plane
    return AlteredPlane(plane, partial(from_asinh, *(float(plane.keywords[key]) for key in ("BOFFSET", "BSOFTEN"))))


def from_asinh(offset: float, softening: float, _section: Any, values: Any) -> Any:
    """Fluxes of a Pan-STARRS stack."""
    return offset + 2 * softening * np.sinh(0.4 * np.log(10) * values)


def as_plane(source: Any, *, hdu: str | int = "auto", layer: int | None = None, origin: str = "image") -> Plane:
    """Turn whatever the user handed in into an image that is read by section.

    Parameters
    ----------
    source : path, (path, hdu), HDU, HDUList, array_like, (array, wcs or header), Cutout2D, or NDData
        Where the pixels are. An HDU pair picks another HDU than `hdu` for this one file.
    hdu : str or int, optional
        HDU of files and HDU lists: number, name, or 'auto' (first 2-D image, rather one
        with a celestial WCS).
    layer : int, optional
        Plane of cubes in files and HDUs.
    origin : str, optional
        What to call an image that has no file name.

    Returns
    -------
    Plane
        It reads, and never changes, what was handed in.

    Raises
    ------
    astrogalaxy.errors.ImageError
        If it is none of these, or not a 2-D image of numbers.
    """
    if isinstance(source, str | os.PathLike):
        return find_plane(os.fspath(source), hdu=hdu, layer=layer)
    if isinstance(source, tuple) and len(source) == 2:
        if isinstance(source[0], str | os.PathLike):
            return find_plane(os.fspath(source[0]), hdu=source[1], layer=layer)
        return _from_array(source[0], source[1], origin)
    if isinstance(source, fits.HDUList):
        return _from_hdu(source[choose_hdu(source, hdu, origin=origin, layer=layer)], source, origin, layer)
    if hasattr(source, "is_image") and hasattr(source, "header"):
        return _from_hdu(source, None, origin, layer)
    if hasattr(source, "uncertainty") and hasattr(source, "data"):
        return _from_nddata(source, origin)
    if hasattr(source, "wcs") and hasattr(source, "data"):  # Cutout2D
        return _from_array(source.data, source.wcs, origin)
    return _from_array(source, None, origin)


def with_bits(plane: Plane, bits: int | str | Sequence[int | str] | None) -> Plane:
    """The same mask, whose pixels are what its bits say (`astrogalaxy.images.bits`), of which only some may count."""
    wanted = bits_of(plane.keywords, bits, origin=plane.origin)
    return replace(plane, bits=wanted)  # type: ignore[type-var]


def _from_array(array: Any, wcs: Any, origin: str, **extra: Any) -> ArrayPlane:
    # what has no dtype of numpy (lists, tensors, data frames) is not cut, or converted, as arrays are
    if not isinstance(getattr(array, "dtype", None), np.dtype) or not hasattr(array, "__getitem__"):
        array = _made_array(array, origin)
    if hasattr(array, "unmasked") and hasattr(array, "mask"):  # astropy's Masked, of arrays and of quantities
        mask, array = np.asarray(array.mask), array.unmasked
        extra["mask"] = mask if extra.get("mask") is None else mask | (np.asarray(extra["mask"]) != 0)
    unit = extra.pop("unit", None) or getattr(array, "unit", None)
    if unit is not None and (hasattr(unit, "function_unit") or unit.is_equivalent("mag")):
        msg = f"{origin}: its pixels are in {unit}; give what adds up, such as counts or fluxes"
        raise ImageError(msg)
    array = getattr(array, "value", array) if unit is not None else array
    shape = _plane_shape(array, origin)
    header = extra.pop("header", None)
    if isinstance(wcs, fits.Header):
        header, wcs = wcs, read_wcs(wcs, shape, origin=origin)
    elif wcs is not None:
        wcs = usable_wcs(wcs, shape, origin=origin)
    return ArrayPlane(array, shape, wcs, header, origin, unit=unit, **extra)


def _made_array(source: Any, origin: str) -> NDArray[Any]:
    try:
        array = np.asarray(source)
    except ValueError:  # rows of different lengths
        array = np.empty((), dtype=object)
    if array.dtype == object:
        msg = f"{origin}: this {type(source).__name__} is no image; give a path, an HDU, a 2-D array or an NDData"
        raise ImageError(msg)
    return array


def _from_hdu(hdu: Any, hdus: fits.HDUList | None, origin: str, layer: int | None) -> ArrayPlane:
    # Before the pixels: astropy drops scaling keywords from the header when they are read.
    header = hdu.header.copy()
    data = hdu.data
    while data is not None and data.ndim > 2 + (layer is not None) and data.shape[0] == 1:
        data = data[0]
    if layer is not None and data is not None:
        if data.ndim != 3 or not 0 <= layer < data.shape[0]:
            msg = f"{origin}: there is no plane {layer} in an image of shape {data.shape}"
            raise ImageError(msg)
        data = data[layer]
    if data is None:
        msg = f"{origin}: the HDU has no pixels"
        raise ImageError(msg)
    shape = _plane_shape(data, origin)
    find = find_wcs if hdus is None else wcs_of
    return ArrayPlane(data, shape, find(header, shape, origin=origin, hdus=hdus)[0], header, origin)


def _from_nddata(source: Any, origin: str) -> ArrayPlane:
    shape = _plane_shape(source.data, origin)
    weight = None if source.uncertainty is None else _inverse_variance(source, origin)
    mask = None if source.mask is None else np.broadcast_to(source.mask, shape)
    header = source.meta if isinstance(source.meta, fits.Header) else None
    return _from_array(source.data, source.wcs, origin, mask=mask, weight=weight, unit=source.unit, header=header)


def _inverse_variance(source: Any, origin: str) -> Any:
    """The uncertainty of NDData as weights, in the unit of its data."""
    from astropy.nddata import InverseVariance, UnknownUncertainty
    from astropy.units import UnitConversionError

    if isinstance(source.uncertainty, UnknownUncertainty):
        msg = f"{origin}: the kind of its uncertainty is unknown; use StdDevUncertainty or the like"
        raise ImageError(msg)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = source.uncertainty.represent_as(InverseVariance)
    if source.unit is None or weight.unit is None or weight.unit == source.unit**-2:
        return weight.array
    try:
        return weight.array * weight.unit.to(source.unit**-2)
    except UnitConversionError:
        of = source.uncertainty.unit
        msg = f"{origin}: the unit of its uncertainty, {of}, cannot be converted to that of its data, {source.unit}"
        raise ImageError(msg) from None


def _plane_shape(array: Any, origin: str) -> tuple[int, int]:
    shape = tuple(int(n) for n in array.shape)
    if len(shape) != 2 or min(shape) < 1:
        msg = f"{origin}: an image must be 2-D with pixels, this has shape {shape}"
        raise ImageError(msg)
    if np.dtype(array.dtype).kind not in "biuf":
        msg = f"{origin}: an image must hold real numbers, this has dtype {array.dtype}"
        raise ImageError(msg)
    return shape[0], shape[1]
