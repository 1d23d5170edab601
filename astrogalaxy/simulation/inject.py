"""Simulated sources injected into real sky.

Real frames have what no simulation has: their own noise, artefacts, ghosts and
neighbours. Sources of known brightness and shape laid over them train the network and
measure what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.errors import ImageError
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images import Band, Exposure, Image, Section
from astrogalaxy.images.inputs import as_plane
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.profiles import BAND_WAVELENGTHS, Conditions, SurveyProfile
from astrogalaxy.simulation.render import draw_sources, star_size
from astrogalaxy.simulation.truth import complete_truth

__all__ = ["Injected", "inject_sources", "observed_conditions"]


@dataclass(frozen=True)
class Injected:
    """Real frames with sources added.

    Attributes
    ----------
    image : Image
        All bands, background subtracted, with the injected light; zero points, gains and
        saturation levels are those of the real frames.
    truth : Table
        The injected sources; see `~astrogalaxy.simulation.truth.complete_truth`.
    conditions : Conditions
        Seeing and noise measured on the frames and used for the sources.
    """

    image: Image
    truth: Table
    conditions: Conditions


def observed_conditions(image: Image, rng: np.random.Generator) -> Conditions:
    """Seeing and noise of real frames, with a drawn PSF shape and density.

    Raises
    ------
    ImageError
        If no band has enough stars for its seeing.
    """
    seeing = {name: band.seeing * image.pixel_scale for name, band in image.bands.items()}
    noise = {name: _noise(band) for name, band in image.bands.items()}
    known = [value for value in seeing.values() if np.isfinite(value)]
    if not known:
        msg = f"{image.name or 'image'}: too few stars to measure the seeing; give `conditions`"
        raise ImageError(msg)
    seeing = {b: v if np.isfinite(v) else float(np.median(known)) for b, v in seeing.items()}
    conditions = Conditions(
        seeing,
        noise,
        beta=float(rng.uniform(2.6, 4.5)),
        shear=(0.0, 0.0),
        crowding=float(rng.lognormal(0, 0.5)),
        clustering=float(rng.lognormal(0, 0.4)),
    )
    return replace(conditions, seeing=_widths(conditions, image.pixel_scale))


def _noise(band: Band) -> float:
    """Typical noise of a band's pixels, from its mesh alone."""
    ny, nx = band.shape
    middle = Section(nx // 2, nx // 2 + 1, 0, ny)
    return float(np.median(band.mesh.noise(middle)))


def _widths(conditions: Conditions, pixel_scale: float) -> dict[str, float]:
    """FWHM of the Moffat profiles whose stars are as wide as those measured."""
    wanted, width = conditions.seeing, dict(conditions.seeing)
    for _ in range(3):
        drawn = replace(conditions, seeing=width)
        width = {b: width[b] * wanted[b] / (star_size(drawn, b, pixel_scale) * pixel_scale) for b in wanted}
    return width


def inject_sources(
    image: Image,
    profile: SurveyProfile,
    *,
    seed: int | np.random.SeedSequence = 0,
    conditions: Conditions | None = None,
    density: float = 1.0,
    zeropoints: dict[str, float] | None = None,
) -> Injected:
    """Add simulated stars and galaxies to real frames.

    Parameters
    ----------
    image : Image
        The frames; its arrays are not changed.
    profile : SurveyProfile
        Whose population is drawn; pixel scale, bands and depth are those of the image.
    seed : int or numpy.random.SeedSequence
        The same seed injects the same sources.
    conditions : Conditions, optional
        Measured on the frames by default.
    density : float
        Factor on the counts of the population.
    zeropoints : dict, optional
        AB magnitude of one image unit, per band; by default the bands' own. A band
        without one has that of the first band that has, or the profile's.

    Returns
    -------
    Injected
        The new image and the truth.

    Raises
    ------
    ImageError
        If the image has no WCS (its pixel scale is unknown), a band is not one whose
        wavelength is known, or the seeing has to be measured and there are too few stars.
    """
    _check(image)
    image.register()
    rng = np.random.default_rng(seed)
    conditions = conditions or observed_conditions(image, rng)
    conditions = replace(conditions, crowding=conditions.crowding * density, clustering=conditions.clustering * density)
    zero = _zeropoints(image, profile, zeropoints)
    profile = _profile_of(image, profile, conditions, zero)
    ny, nx = image.shape
    table = draw_population(profile, conditions, ny * nx * (profile.pixel_scale / 60) ** 2, rng)
    table["x"] = rng.uniform(-0.5, nx - 0.5, len(table))
    table["y"] = rng.uniform(-0.5, ny - 0.5, len(table))
    places = np.asarray(table["x"]), np.asarray(table["y"])
    positions = {name: image.to_band(name, *places) for name in image.bands}
    light = {name: np.zeros(band.shape, np.float32) for name, band in image.bands.items()}
    # a profile has one zero point: a band with another one is drawn with shifted magnitudes
    drawn = table.copy()
    for name, value in zero.items():
        drawn[f"mag_{name}"] += profile.zeropoint - value
    stamps = draw_sources(light, drawn, profile, conditions, positions=positions, rng=rng)
    truth = complete_truth(table, stamps, light, profile, conditions, image.wcs, positions)
    for name, value in zero.items():
        truth[f"flux_{name}"] *= 10 ** (0.4 * (value - profile.zeropoint))
    lit = {name: _lit(band, light[name], profile, rng) for name, band in image.bands.items()}
    return Injected(Image(lit, reference=image.reference, name=image.name), truth, conditions)


def _check(image: Image) -> None:
    """Refuse frames for which a population cannot be drawn."""
    name = image.name or "image"
    if not np.isfinite(image.pixel_scale):
        msg = f"{name}: without a WCS its pixel scale is unknown, and nothing can be injected"
        raise ImageError(msg)
    unknown = [band for band in image.bands if band not in BAND_WAVELENGTHS]
    if unknown:
        known = ", ".join(BAND_WAVELENGTHS)
        msg = f"{name}: sources have no colours for band {unknown[0]!r}; name the bands out of {known}"
        raise ImageError(msg)


def _zeropoints(image: Image, profile: SurveyProfile, given: dict[str, float] | None) -> dict[str, float]:
    known = given or {n: b.zeropoint for n, b in image.bands.items() if b.zeropoint is not None}
    first = next(iter(known.values()), profile.zeropoint)
    return {name: float(known.get(name, first)) for name in image.bands}


def _profile_of(
    image: Image, profile: SurveyProfile, conditions: Conditions, zeropoints: dict[str, float]
) -> SurveyProfile:
    """Return the profile as observed; its one zero point is that of the first band."""
    depth = {}
    for name, zeropoint in zeropoints.items():
        sigma = conditions.seeing[name] / FWHM_PER_SIGMA / image.pixel_scale
        noise = conditions.noise[name]
        depth[name] = float(zeropoint - 2.5 * np.log10(5 * noise * np.sqrt(4 * np.pi) * sigma))
    zeropoint = next(iter(zeropoints.values()))
    return replace(profile, pixel_scale=image.pixel_scale, bands=tuple(image.bands), depth=depth, zeropoint=zeropoint)


def _gain(band: Band) -> float | None:
    """Electrons per image unit."""
    return None if band.gain is None else band.gain / band.unit


def _saturation(band: Band) -> float | None:
    """Level of saturation of a band whose background has been subtracted."""
    if band.saturation is None:
        return None
    sky = float(np.median(band.mesh.background(Section.whole(band.shape))))
    if band.saturation <= sky:
        msg = f"band {band.name}: a saturation of {band.saturation:g} is less than its sky of {sky:g}"
        raise ImageError(msg)
    return band.saturation - sky


def _lit(band: Band, light: NDArray[np.float32], profile: SurveyProfile, rng: np.random.Generator) -> Band:
    """Return the band with the light and its photon noise, without its sky; bad pixels stay bad (NaN)."""
    pixels, gain = band.pixels(), _gain(band)
    photons = np.sqrt(np.clip(light, 0, None) / (gain or profile.gain)) * rng.standard_normal(light.shape)
    lit = np.where(pixels.bad, np.nan, pixels.data * np.float32(band.unit) + light + photons).astype(np.float32)
    plane = as_plane((lit, band.wcs), origin=f"band {band.name}")
    known = {
        "zeropoint": band.zeropoint, "gain": gain, "saturation": _saturation(band), "fwhm": band.fwhm,
        "psf": band.given_psf,
    }  # fmt: skip
    # bad pixels are NaN already, but only the masks tell of saturated ones where no level does
    return Band(Exposure(band.name, plane, masks=band.exposure.masks, **known))
