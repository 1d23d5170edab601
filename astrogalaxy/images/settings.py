"""What a user says of the images of bands, and the exposures that it makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from astropy.io import fits

from astrogalaxy.config.arithmetic import ZEROPOINTS, evaluate, is_sum
from astrogalaxy.errors import ImageError
from astrogalaxy.images.exposure import Exposure, check_map
from astrogalaxy.images.inputs import ArrayPlane, Plane, as_plane, linear_plane, with_bits
from astrogalaxy.images.psffile import read_psf
from astrogalaxy.images.sky import pixel_scale
from astrogalaxy.images.zeropoint import positive_card, zeropoint_of

__all__ = ["BandSettings"]


@dataclass(frozen=True)
class BandSettings:
    """What belongs to an image, as `Image.read` is given it, where each setting is for all bands or for one."""

    hdu: Any = "auto"
    plane: Any = None
    zeropoint: Any = None
    gain: Any = None
    saturation: Any = None
    seeing: Any = None
    psf: Any = None
    psf_hdu: Any = "auto"
    mask: Any = None
    mask_hdu: Any = "auto"
    mask_bits: int | str | Sequence[int | str] | None = None
    weight: Any = None
    weight_hdu: Any = "auto"
    weight_type: str = "inverse_variance"
    box: int = 64

    _BY_BAND: ClassVar = (
        "hdu", "plane", "zeropoint", "gain", "saturation", "seeing", "psf", "psf_hdu", "mask", "mask_hdu", "weight",
        "weight_hdu",
    )  # fmt: skip

    def by_band(self, bands: Iterable[str]) -> dict[str, BandSettings]:
        """The settings of each band, out of those for all of them and of mappings by band."""
        own: dict[str, dict[str, Any]] = {band: {} for band in bands}
        for key in self._BY_BAND:
            value = getattr(self, key)
            if not isinstance(value, Mapping):
                continue
            unknown = set(value) - set(own)
            if unknown:
                msg = f"{key} is given for {', '.join(sorted(unknown))}, but the bands are {', '.join(own)}"
                raise ImageError(msg)
            for band, settings in own.items():
                settings[key] = value.get(band)
        return {band: replace(self, **settings) for band, settings in own.items()}

    def open(self, name: str, source: Any) -> Exposure:
        """Open the image of a band, with its maps, by the settings of that band."""
        raw = as_plane(source, hdu=_auto(self.hdu), layer=self.plane, origin=f"band {name}")
        plane = linear_plane(raw)
        zeropoint, gain, saturation, weight_type = self.zeropoint, self.gain, self.saturation, self.weight_type
        masks, weight = [], None
        if self.mask is not None:
            mask = as_plane(self.mask, hdu=_auto(self.mask_hdu), origin=f"mask of band {name}")
            try:
                masks.append(with_bits(mask, self.mask_bits))
            except ImageError:
                check_map("mask", mask, plane)  # of the image itself, taken for the mask, no header names any bits
                raise
        if self.weight is not None:
            weight = linear_plane(
                as_plane(self.weight, hdu=_auto(self.weight_hdu), origin=f"weight map of band {name}")
            )
        if isinstance(raw, ArrayPlane):
            if raw.mask is not None:
                masks.append(with_bits(as_plane(raw.mask, origin=f"mask of {raw.origin}"), None))
            if raw.weight is not None and weight is None:
                weight, weight_type = as_plane(raw.weight, origin=f"uncertainty of {raw.origin}"), "inverse_variance"
            zeropoint = zeropoint_of(raw) if zeropoint is None and raw.unit is not None else zeropoint
            gain = 1.0 if gain is None and str(raw.unit) == "electron" else gain
        if saturation is None:
            saturation = positive_card(plane.keywords, "SATURATE") or None
        psf = None
        if self.psf is not None:
            psf = read_psf(self.psf, plane.shape, hdu=_auto(self.psf_hdu), origin=f"point spread of band {name}")
        return Exposure(
            name, plane, masks=tuple(masks), weight=weight, weight_type=weight_type,
            zeropoint=_zeropoint(zeropoint, plane), gain=_number(gain, "gain", plane),
            saturation=_number(saturation, "saturation", plane), fwhm=_seeing(self.seeing, plane), psf=psf,
            box=self.box,
        )  # fmt: skip


def _auto(hdu: Any) -> Any:
    """The extension of a band for which none is named."""
    return "auto" if hdu is None else hdu


def _zeropoint(value: Any, plane: Plane) -> float | None:
    if value != "auto":
        return _number(value, "zeropoint", plane)
    found = zeropoint_of(plane)
    if found is None:
        unit = plane.keywords.get("BUNIT")
        msg = f"{plane.origin}: zeropoint is auto, but the header does not tell what its unit (BUNIT {unit!r}) is in AB"
        raise ImageError(f"{msg}; give a number or a keyword")
    return _number(found, "zeropoint", plane)


def _seeing(value: Any, plane: Plane) -> float | None:
    """FWHM of stars in pixels, from one in arcsec where there is a WCS, or in pixels where they are its unit."""
    scale, unit = pixel_scale(plane.wcs, plane.shape), getattr(value, "unit", None)
    if unit is not None and unit.is_equivalent("pix"):
        return _number(value.to_value("pix"), "seeing", plane)
    if unit is not None and not (unit.is_equivalent("arcsec") and np.isfinite(scale)):
        known = "an angle or pixels" if np.isfinite(scale) else "pixels where there is no WCS"
        msg = f"{plane.origin}: seeing must be in {known}, not in {unit}"
        raise ImageError(msg)
    fwhm = _number(value if unit is None else value.to_value("arcsec"), "seeing", plane)
    return fwhm / scale if fwhm is not None and np.isfinite(scale) else fwhm


def _without_unit(value: Any, setting: str, plane: Plane) -> Any:
    """Number of a quantity; what is none as it is."""
    if getattr(value, "unit", None) is None:
        return value
    if setting in ("gain", "saturation"):
        # per image unit, and in image units, whatever the user calls these
        wrong = setting == "gain" and "electron" not in map(str, value.unit.bases)
    else:
        wrong = setting == "zeropoint" and str(value.unit) not in ("mag", "mag(AB)")
    if wrong:
        msg = f"{plane.origin}: {setting} cannot be in {value.unit}"
        raise ImageError(msg)
    return float(value.value)


def _sum(text: str, setting: str, plane: Plane) -> float:
    try:
        return evaluate(text, plane.keywords)
    except KeyError as error:
        msg = f"{plane.origin}: the header has no keyword {error.args[0]!r}, given as {setting}: {text}"
        raise ImageError(msg) from None
    except (TypeError, ValueError, ArithmeticError):
        msg = f"{plane.origin}: {setting}: {text} cannot be calculated from the header"
        raise ImageError(msg) from None


def _number(value: Any, setting: str, plane: Plane) -> float | None:
    """Value of a setting that is a number or a header keyword; all but zero points are more than 0."""
    label = setting
    if isinstance(value, str) and value not in plane.keywords and is_sum(value):
        label, value = f"{setting}, {value!r},", _sum(value, setting, plane)
    if isinstance(value, str):
        if value not in plane.keywords:
            msg = f"{plane.origin}: the header has no keyword {value!r}, given as {setting}"
            raise ImageError(msg)
        keyword, value = value, plane.keywords[value]
        if value is None or isinstance(value, fits.card.Undefined):
            msg = f"{plane.origin}: the header's {keyword!r}, given as {setting}, has no value"
            raise ImageError(msg)
        label = f"{setting}, the header's {keyword},"
    if value is None:
        return None
    value = _without_unit(value, setting, plane)
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        msg = f"{plane.origin}: {label} must be a number, not {value!r}"
        raise ImageError(msg)
    if number <= 0 and setting != "zeropoint":
        msg = f"{plane.origin}: {label} must be more than 0, not {value!r}"
        raise ImageError(msg)
    least, most = ZEROPOINTS
    if setting == "zeropoint" and not least < number < most:
        msg = f"{plane.origin}: {label} must be a magnitude between {least:g} and {most:g}, not {value!r}"
        raise ImageError(msg)
    return number
