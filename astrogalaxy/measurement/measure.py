"""Measure sources in all bands of an image: the room's one entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from astrogalaxy.catalog.columns import aperture_prefix
from astrogalaxy.catalog.flags import flag_bits
from astrogalaxy.errors import ConfigError
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.band import BandLight
from astrogalaxy.measurement.elsewhere import look_elsewhere
from astrogalaxy.measurement.locate import Given, Start
from astrogalaxy.measurement.photometry import ab_magnitude, nanojansky
from astrogalaxy.measurement.places import Places, section_around
from astrogalaxy.measurement.profiles import Moffat
from astrogalaxy.measurement.psfstars import field_psfs
from astrogalaxy.measurement.reference import Reference, light_in_band, locate_in_reference, read_canvas
from astrogalaxy.measurement.sky import ellipse_on_sky
from astrogalaxy.measurement.spread import combine_spreads
from astrogalaxy.measurement.starlight import field_starlight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astrogalaxy.images import Band, Image
    from astrogalaxy.measurement.sources import Sources

__all__ = ["measure"]

# Half a side of the box of a source that comes without one, pixels.
_USUAL_HALF_BOX = 5.0
# Light of neighbours in the aperture, as a share of the source's own: taken out, and too much to be sure.
_DEBLENDED = 0.01
_BLENDED = 0.10


def measure(
    image: Image,
    sources: Sources,
    *,
    section: Section | None = None,
    apertures: float | u.Quantity | Sequence[float | u.Quantity] = 3.0,
    kron_factor: float = 2.5,
    pixel_scale: float | None = None,
) -> dict[str, np.ndarray]:
    """Positions, fluxes in every band, shapes and flags of sources.

    Centres and shapes come from adaptive moments on the reference band, or, where that hardly
    shows a source, on the one that shows it best. Light is summed in
    every band on the band's own pixels, in the same apertures on the sky: an ellipse of
    Kron's size for the total, circles for ``flux_aper``. Neighbours are modelled and taken
    away first, and so is the sky that the mesh has left around each source. What a source's
    profile puts outside the ellipse is added to the total. Where the field has enough stars,
    ellipse and addition follow the seeing of each band. The page "Measurement" of the user guide
    says how accurate this is. The errors of total fluxes include that of the addition, which all
    bands share: errors of colours computed from them are upper limits.

    Parameters
    ----------
    image : Image
        The bands and their noise; bands whose WCS disagree are shifted first (`Image.register`), if they are not yet.
    sources : Sources
        What to measure, in pixels of the whole reference image.
    section : Section, optional
        Part of the reference image to read; sources centred outside are not measured.
        Default: as much as the sources need.
    apertures : float, Quantity or sequence of them, optional
        Diameters of the fixed apertures, arcsec or angles.
    kron_factor : float, optional
        Semi-axes of the total aperture in Kron radii.
    pixel_scale : float, optional
        Arcsec per pixel, used only where the reference band has no WCS.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Once per source: ``x, y`` (pixels of the whole reference image), ``ra, dec`` (ICRS,
        deg), ``ra_err, dec_err`` (arcsec on the sky), ``snr`` (all bands together),
        ``a, b`` (arcsec, semi-axes of the adaptive moments), ``theta`` (deg east of north,
        0 to 180), ``ellipticity``, ``half_light_radius, fwhm`` (arcsec, as observed),
        ``spread, spread_err`` (how much wider than a point; NaN where too few stars show the point spread) and
        ``flags`` (int32, see `astrogalaxy.catalog.FLAGS`). Once per band: ``flux_<b>``,
        ``flux_<b>_err``, ``flux_aper_<b>``, ``flux_aper_<b>_err``, the same for
        ``flux_aper2_<b>`` and so on, for ``flux_apcor_<b>``: the light in a small aperture that goes
        by the size of the field's stars, and for ``flux_psf_<b>``: the light of a point at the source's
        centre, NaN where too few stars show the point spread; both to be corrected by the stars
        (`astrogalaxy.measurement.calibrate_field`); in nJy, or image units where
        the band has no zero point. ``mag_<b>``, ``mag_<b>_err`` (AB).
        NaN stands for a position or position angle without WCS, a length without WCS and
        `pixel_scale`, light in a missing band, the magnitude of a flux that is not positive
        or not calibrated, and the error of a position that could not be refined, or was held.

    Raises
    ------
    ImageError
        If a band has no WCS and another shape than the reference.
    ConfigError
        If `apertures`, `kron_factor` or `pixel_scale` is not a positive number, or apertures are no angles.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.images import Image
    >>> from astrogalaxy.measurement import Sources, measure
    >>> y, x = np.mgrid[:96, :96]
    >>> star = 500 * np.exp(-((x - 40.3) ** 2 + (y - 52.0) ** 2) / 8)
    >>> image = Image.read({"r": star + np.random.default_rng(1).normal(size=star.shape)})
    >>> table = measure(image, Sources.around([40], [52], side=12), pixel_scale=0.4)
    >>> f"{table['x'][0]:.1f} {table['a'][0]:.1f}"
    '40.3 0.8'
    """
    diameters = _positive("apertures", apertures, u.arcsec)
    _positive("kron_factor", kron_factor)
    if pixel_scale is not None:
        _positive("pixel_scale", pixel_scale)
    table = _blank(list(image.bands), len(diameters), sources)
    limits = Section.whole(image.shape) if section is None else Section(*section).clip(image.shape)
    index = np.flatnonzero(limits.contains(sources.x, sources.y))
    if not len(index):
        return table
    stars = field_starlight(image)
    field_psfs(image)
    start = _start(sources, index)
    canvas = read_canvas(image.bands[image.reference], section_around(start.x, start.y, start.half, limits))
    guess = Places.of(image.bands[image.reference], start.x, start.y, pixel_scale=pixel_scale)
    settings = {"circles": diameters / 2, "kron_factor": kron_factor}
    start = look_elsewhere(image, canvas, start, guess, stars, **settings)
    reference = locate_in_reference(canvas, start, guess, stars[image.reference], **settings)
    light = {name: light_in_band(reference, band, stars[name]) for name, band in image.bands.items()}
    for name, values in _columns(image, reference, light).items():
        table[name][index] = values
    for name in ("ra_err", "dec_err"):
        table[name][sources.held] = np.nan
    return table


def _positive(name: str, given: Any, unit: u.UnitBase = u.one) -> np.ndarray:
    """One number or several as a list of them, in a unit; an error where there is none, or one is not positive."""
    try:
        numbers = np.atleast_1d(u.Quantity(given, unit, dtype=float).value)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or not numbers.size or not (np.isfinite(numbers) & (numbers > 0)).all():
        several = " or a list of them (arcsec, or angles)" * (name == "apertures")
        msg = f"{name} must be a positive number{several}, not {given!r}"
        raise ConfigError(msg)
    return numbers


def _blank(bands: list[str], n_apertures: int, sources: Sources) -> dict[str, np.ndarray]:
    """Columns of sources that were not measured, in the catalogue's order."""
    n = len(sources)
    names = ["ra", "dec", "ra_err", "dec_err"]
    for band in bands:
        circles = [f"{name}_{band}" for name in circle_names(n_apertures)]
        for prefix in (f"flux_{band}", f"mag_{band}", *circles, f"flux_psf_{band}"):
            names += [prefix, f"{prefix}_err"]
    names += ["snr", "a", "b", "theta", "ellipticity", "half_light_radius", "fwhm", "spread", "spread_err"]
    table = {"x": sources.x.copy(), "y": sources.y.copy()}
    table.update({name: np.full(n, np.nan) for name in names})
    table |= {f"flags_{band}": np.full(n, flag_bits("missing_band"), dtype=np.int32) for band in bands}
    table["flags"] = np.full(n, flag_bits("missing_band", "bad_centroid"), dtype=np.int32)
    return table


def circle_names(n_apertures: int) -> list[str]:
    """First parts of the columns of fluxes in circles: the fixed apertures, and the small one last."""
    return [*(aperture_prefix(number) for number in range(n_apertures)), "flux_apcor"]


def _start(sources: Sources, index: np.ndarray) -> Start:
    """First guess from positions and boxes; a box that makes no sense is replaced."""
    x, y = sources.x[index], sources.y[index]
    edges = [getattr(sources, name)[index] for name in ("x_min", "x_max", "y_min", "y_max")]
    usable = (edges[0] <= x) & (x <= edges[1]) & (edges[2] <= y) & (y <= edges[3])
    usable &= np.isfinite(edges).all(axis=0)
    half = np.where(usable, np.maximum(edges[1] - edges[0], edges[3] - edges[2]) / 2, _USUAL_HALF_BOX)
    half = np.maximum(half, 2.0)
    x_min, x_max = np.where(usable, edges[0], x - half), np.where(usable, edges[1], x + half)
    y_min, y_max = np.where(usable, edges[2], y - half), np.where(usable, edges[3], y + half)
    return Start(x, y, half, x_min, x_max, y_min, y_max, sources.held[index], Given.nothing(len(index)))


def _columns(image: Image, reference: Reference, light: dict[str, BandLight]) -> dict[str, np.ndarray]:
    """The table of the measured sources."""
    places, at_home = reference.places, _at_home(reference, light)
    unseen = at_home.missing | reference.located.bad_centroid
    table = {name: getattr(places, name) for name in ("x", "y", "ra", "dec")}
    for name, variance in (("ra_err", reference.scatter[0]), ("dec_err", reference.scatter[2])):
        table[name] = np.where(unseen, np.nan, np.sqrt(variance))
    for name, band in image.bands.items():
        table.update(_fluxes(name, band, light[name], reference.share_error))
        table[f"flags_{name}"] = _band_flags(light[name])
    table["snr"] = _signal_to_noise(light)
    shapes = _shape_columns(reference, light[image.reference], at_home)
    table.update({name: np.where(at_home.missing, np.nan, values) for name, values in shapes.items()})
    spreads = ((band.spread, band.spread_err, band.spread_weight) for band in light.values())
    table["spread"], table["spread_err"] = combine_spreads(spreads)
    table["flags"] = _flags(reference, light, at_home)
    return table


def _at_home(reference: Reference, light: dict[str, BandLight]) -> BandLight:
    """Light of each source in the band that has shown its centre and shape."""
    result = BandLight.empty(len(reference.home), len(reference.circles) + 1)
    for name, band in light.items():
        index = np.flatnonzero(reference.home == name)
        result.put_all(index, band.take(index))
    return result


def _fluxes(name: str, band: Band, light: BandLight, share_error: np.ndarray) -> dict[str, np.ndarray]:
    """Flux and magnitude columns of one band."""
    known = band.zeropoint is not None and np.isfinite(band.zeropoint)
    unit = band.unit * (nanojansky(band.zeropoint) if known else 1.0)
    flux, error = light.total * unit, np.hypot(light.total_err, share_error * light.total) * unit
    magnitude, magnitude_err = ab_magnitude(flux, error) if known else (np.full(len(flux), np.nan),) * 2
    columns = {
        f"flux_{name}": flux,
        f"flux_{name}_err": error,
        f"mag_{name}": magnitude,
        f"mag_{name}_err": magnitude_err,
    }
    for number, circle in enumerate(circle_names(light.circles.shape[1] - 1)):
        columns[f"{circle}_{name}"] = light.circles[:, number] * unit
        columns[f"{circle}_{name}_err"] = light.circles_err[:, number] * unit
    columns[f"flux_psf_{name}"], columns[f"flux_psf_{name}_err"] = light.point * unit, light.point_err * unit
    return columns


def _signal_to_noise(light: dict[str, BandLight]) -> np.ndarray:
    """Root of the summed squares over the bands that have light; NaN where no band has data."""
    ratios = np.array([band.total / band.total_err for band in light.values()])
    combined = np.sqrt(np.nansum(np.maximum(ratios, 0.0) ** 2, axis=0))
    return np.where(np.isfinite(ratios).any(axis=0), combined, np.nan)


def _shape_columns(reference: Reference, light: BandLight, at_home: BandLight) -> dict[str, np.ndarray]:
    """Lengths and angles on the sky."""
    located = reference.located
    a, b, theta = ellipse_on_sky(*reference.sky_covariance)
    major, minor, _ = located.shapes.axes()
    return {
        "a": a,
        "b": b,
        "theta": theta if reference.band.wcs is not None else np.full(len(a), np.nan),
        "ellipticity": 1.0 - np.where(np.isfinite(a), b, minor) / np.where(np.isfinite(a), a, major),
        # what another band has shown is carried over as the shape was
        "half_light_radius": at_home.half_light * (light.size / at_home.size) * reference.places.scale,
        "fwhm": Moffat(located.apertures.beta).fwhm * np.sqrt(a * b),
    }


def _band_flags(light: BandLight) -> np.ndarray:
    """The bits that a band has by itself."""
    return _bits(edge=light.edge, saturated=light.saturated, masked=light.masked, missing_band=light.missing)


def _flags(reference: Reference, light: dict[str, BandLight], at_home: BandLight) -> np.ndarray:
    """The bits of the source: those of any band, and its own."""
    others, own = at_home.others, np.maximum(np.nan_to_num(at_home.total), 0.0)
    flags = _bits(
        blended=others > _BLENDED * own,
        deblended=others > _DEBLENDED * own,
        bad_centroid=reference.located.bad_centroid | at_home.missing,
    )
    return np.asarray(np.bitwise_or.reduce([flags, *map(_band_flags, light.values())]))


def _bits(**rules: np.ndarray) -> np.ndarray:
    """The flags of these names where their rules hold."""
    return sum((np.where(rule, np.int32(flag_bits(name)), np.int32(0)) for name, rule in rules.items()), np.int32(0))
