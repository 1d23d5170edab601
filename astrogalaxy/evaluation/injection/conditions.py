"""What is injected, and the observing conditions of a real field: point spread, noise, zero points, depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.evaluation.injection.psf import PointSpread, measure_point_spreads
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images import Band, Image, Section
from astrogalaxy.measurement.photometry import nanojansky
from astrogalaxy.simulation.population import draw_population
from astrogalaxy.simulation.profiles import BAND_WAVELENGTHS, PROFILES, Conditions, SurveyProfile

__all__ = ["FieldConditions", "Injection", "colours_of", "observe", "plain_conditions", "plain_profile"]

# For fields without zero points, a population to compare their number of sources with: its r limit and square arcmin.
_COUNTED = 27.0, 20.0
# Half side of the square on which the noise is taken, pixels.
_SAMPLE = 1024

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Injection:
    """What is injected into a field.

    Attributes
    ----------
    density : float, optional
        Injected sources per square arcmin in a round. By default a tenth of the field's own, or one in a square of 60
        FWHM where that is more: so few do not change the crowding. They are never nearer to each other than two thirds
        of their mean distance.
    magnitudes : (float, float), optional
        Brightest and faintest in the reference band (AB, or instrumental without zero point); by default from 6
        brighter to 1 fainter than a point source at five sigma.
    like : mapping of str to str, optional
        Which band a band of another name is like, for the colours of what is injected.
    seeing : float, optional
        Full width of stars at half maximum, arcsec, where the field has too few to measure it.
    seed : int
        The same seed injects the same sources.

    Examples
    --------
    >>> from astrogalaxy.evaluation.injection import Injection
    >>> Injection(density=8.0).check(["g", "r", "i"])
    """

    density: float | None = None
    magnitudes: tuple[float, float] | None = None
    like: Mapping[str, str] | None = None
    seeing: float | None = None
    seed: int = 0

    def check(self, bands: Sequence[str]) -> None:
        """Refuse what makes no sense for images in these bands.

        Raises
        ------
        ConfigError
            One line that says what.
        """
        colours_of(bands, self.like)
        if self.density is not None and not 0 < self.density < np.inf:
            msg = f"density must be a positive number of sources per square arcmin, not {self.density}"
            raise ConfigError(msg)
        if self.seeing is not None and not 0 < self.seeing < np.inf:
            msg = f"seeing must be a positive number of arcsec, not {self.seeing}"
            raise ConfigError(msg)
        if self.magnitudes is None:
            return
        brightest, faintest = self.magnitudes
        if not (np.isfinite(self.magnitudes).all() and brightest < faintest):
            msg = f"magnitudes must be the brightest and the faintest, not {brightest} and {faintest}"
            raise ConfigError(msg)


@dataclass(frozen=True)
class FieldConditions:
    """How a field sees sources.

    Attributes
    ----------
    spreads : dict of str to PointSpread
        By band, in its pixels.
    scales : dict of str to float
        Arcsec per pixel, by band.
    noise : dict of str to float
        Sky noise of a pixel, image units, by band.
    zeropoints : dict of str to float
        AB magnitude of one image unit, by band; of bands that have none a guess, which colours
        and sizes of the simulated sources rest on, but nothing that is reported.
    calibrated : dict of str to bool
        Whether the band has a zero point.
    photon_noise : dict of str to bool
        Whether the band's gain is known, so that injected light gets its photon noise.
    colours : dict of str to str
        Band of `~astrogalaxy.simulation.profiles.BAND_WAVELENGTHS` whose colours each band has.
    reference : str
        The reference band.
    depth : float
        Magnitude of a point source at five sigma in the reference band.

    Examples
    --------
    >>> from astrogalaxy.evaluation.injection import FieldConditions, PointSpread
    >>> conditions = FieldConditions(
    ...     spreads={"r": PointSpread(3.0, 3.5, (0.0, 0.0), 40)}, scales={"r": 0.4}, noise={"r": 0.03},
    ...     zeropoints={"r": 22.5}, calibrated={"r": True}, photon_noise={"r": False}, colours={"r": "r"},
    ...     reference="r", depth=23.0,
    ... )
    >>> round(conditions.seeing, 2), round(conditions.unit("r"), 1)
    (1.2, 3630.8)
    """

    spreads: dict[str, PointSpread]
    scales: dict[str, float]
    noise: dict[str, float]
    zeropoints: dict[str, float]
    calibrated: dict[str, bool]
    photon_noise: dict[str, bool]
    colours: dict[str, str]
    reference: str
    depth: float

    @property
    def seeing(self) -> float:
        """Full width of stars at half maximum in the reference band, arcsec."""
        return self.spreads[self.reference].fwhm * self.scales[self.reference]

    def shown_zeropoint(self, band: str) -> float:
        """Zero point of the magnitudes that are reported: 0 for instrumental ones."""
        return self.zeropoints[band] if self.calibrated[band] else 0.0

    def unit(self, band: str) -> float:
        """What one image unit is in the catalogue's unit of flux."""
        return nanojansky(self.zeropoints[band]) if self.calibrated[band] else 1.0


def colours_of(bands: Sequence[str], like: Mapping[str, str] | None = None) -> dict[str, str]:
    """Say which band's colours simulated sources have in each band.

    Parameters
    ----------
    bands : sequence of str
        The survey's.
    like : mapping of str to str, optional
        For bands of other names: the most similar one with a known wavelength.

    Returns
    -------
    dict of str to str
        Band of the simulated colours, by the image's own band.

    Raises
    ------
    ConfigError
        If the wavelength of one of several bands is unknown, or ``like`` names a band that is not there.

    Examples
    --------
    >>> colours_of(["F606W", "i"], {"F606W": "r"})
    {'F606W': 'r', 'i': 'i'}
    """
    given, known = dict(like or {}), ", ".join(BAND_WAVELENGTHS)
    for band, other in given.items():
        if band not in bands or other not in BAND_WAVELENGTHS:
            what = f"{band}={other}"
            msg = f"like {what!r}: give a band of the survey ({', '.join(bands)}) and one of {known}"
            raise ConfigError(msg)
    chosen = {band: given.get(band, band) for band in bands}
    unknown = [band for band, other in chosen.items() if other not in BAND_WAVELENGTHS]
    if unknown and len(bands) == 1:
        return {bands[0]: "r"}  # of a single band no colour is asked
    if unknown:
        msg = (
            f"simulated sources have no colours for band {unknown[0]!r}; say which band it is like, "
            f"such as {unknown[0]}=r, out of {known}"
        )
        raise ConfigError(msg)
    return chosen


def observe(
    image: Image, catalog: Table, *, like: Mapping[str, str] | None = None, seeing: float | None = None
) -> FieldConditions:
    """Measure how a field sees sources: point spread, noise, depth, zero points.

    Parameters
    ----------
    image : Image
        The field.
    catalog : SourceCatalog
        Its own sources.
    like : mapping of str to str, optional
        See `colours_of`.
    seeing : float, optional
        Full width of stars at half maximum, arcsec, where the field has too few to measure it.

    Returns
    -------
    FieldConditions
        In all bands.

    Raises
    ------
    ConfigError
        See `colours_of`.
    ImageError
        If the image has no WCS, or no stars to measure its seeing.
    """
    colours = colours_of(list(image.bands), like)
    if not np.isfinite(image.pixel_scale):
        msg = f"{image.name or 'image'}: without a WCS its pixel scale is unknown, and nothing can be injected"
        raise ImageError(msg)
    reference = image.reference
    scales = {name: _scale(image, band) for name, band in image.bands.items()}
    noise = {name: _noise(band) for name, band in image.bands.items()}
    spreads = measure_point_spreads(image, catalog, seeing=seeing)
    limit = 5 * noise[reference] * np.sqrt(4 * np.pi) * spreads[reference].fwhm / FWHM_PER_SIGMA
    known = {name: band.zeropoint for name, band in image.bands.items() if band.zeropoint is not None}
    zeropoints = dict(known) if len(known) == len(image.bands) else _guessed(image, catalog, colours, known, limit)
    shown = zeropoints[reference] if reference in known else 0.0
    return FieldConditions(
        spreads, scales, noise, zeropoints, {name: name in known for name in image.bands},
        {name: bool(band.gain) for name, band in image.bands.items()}, colours, reference,
        float(shown - 2.5 * np.log10(limit)),
    )  # fmt: skip


def _scale(image: Image, band: Band) -> float:
    return image.pixel_scale if band.wcs is None else band.pixel_scale


def _noise(band: Band) -> float:
    ny, nx = band.shape
    middle = Section(nx // 2, nx // 2, ny // 2, ny // 2).grow(_SAMPLE).clip(band.shape)
    pixels = band.pixels(middle)
    return band.unit * float(np.median(pixels.noise[~pixels.bad] if not pixels.bad.all() else pixels.noise))


def _guessed(
    image: Image, catalog: Table, colours: Mapping[str, str], known: Mapping[str, float], limit: float
) -> dict[str, float]:
    """Zero points where some are missing: sources have usual colours, and are as many as usual for the depth.

    Nothing that is reported depends on them but through the colours and sizes of what is injected.
    """
    rng, reference = np.random.default_rng(0), image.reference
    deepest, area = _COUNTED
    pool = draw_population(plain_profile(set(colours.values()), deepest), plain_conditions(), area, rng)
    found = {name: _image_units(catalog, name, image.bands[name]) for name in image.bands}
    magnitude = {name: np.asarray(pool[f"mag_{colours[name]}"], float) for name in image.bands}
    if reference not in known:
        searched = image.shape[0] * image.shape[1] * (image.pixel_scale / 60) ** 2
        usual = np.sort(magnitude[reference])
        at = int(np.clip(len(catalog) / searched * area, 0, len(usual) - 1))
        known = {**known, reference: float(usual[at] + 2.5 * np.log10(limit))}
    for name in image.bands:
        if name in known:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = -2.5 * np.log10(found[name] / found[reference])
        bright = np.isfinite(ratio) & (np.asarray(catalog["snr"], float) > 20)
        seen = float(np.median(ratio[bright])) if bright.any() else 0.0
        usual_colour = float(np.median(magnitude[name] - magnitude[reference]))
        known = {**known, name: known[reference] + usual_colour - seen}
    return {name: known[name] for name in image.bands}


def _image_units(catalog: Table, name: str, band: Band) -> Floats:
    flux = np.asarray(catalog[f"flux_{name}"], dtype=float)
    return flux / nanojansky(band.zeropoint) if band.zeropoint is not None else flux


def plain_profile(bands: Iterable[str], limit: float) -> SurveyProfile:
    """Whatever a population needs to know of a survey."""
    # a set goes in another order in every process, and with it what is drawn for each band
    return replace(PROFILES["sdss"], bands=tuple(sorted(bands)), depth={"r": limit})


def plain_conditions(
    seeing: Mapping[str, float] | None = None,
    *,
    noise: Mapping[str, float] | None = None,
    beta: float = 3.0,
    shear: tuple[float, float] = (0.0, 0.0),
) -> Conditions:
    """Whatever the simulation needs to know of an observation: usual counts, no artefacts."""
    return Conditions(dict(seeing or {}), dict(noise or {}), beta=beta, shear=shear, crowding=1.0, clustering=1.0)
