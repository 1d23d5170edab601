"""Survey profiles: pixel scale, bands, seeing and depth of the surveys that scenes imitate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images.wavelengths import WAVELENGTHS

__all__ = ["BAND_WAVELENGTHS", "PROFILES", "SCALE_RANGE", "Conditions", "SurveyProfile", "draw_conditions", "vary"]

#: Central wavelengths in nm of the bands that a scene can be drawn in.
BAND_WAVELENGTHS = WAVELENGTHS

#: Factors by which `vary` changes the pixel scale, at most.
SCALE_RANGE = (0.8, 1.2)
# How often `vary` gives other bands than the survey's usual ones, and how often a field is crowded.
_OTHER_BANDS, _CROWDED = 0.2, 0.22
# Factor on the counts of stars in crowded fields: up to those of the Galactic plane.
_CROWDING = (3.0, 60.0)
# Expected number of big nearby galaxies in a scene: a third of all scenes have some.
_NEARBY = 0.4
# Half of the scenes have up to this share of sources in close pairs.
_PAIRS = 0.6


@dataclass(frozen=True)
class SurveyProfile:
    """The properties that distinguish the images of one survey from another's.

    Parameters
    ----------
    name : str
        Name of the survey.
    pixel_scale : float
        Arcsec per pixel.
    bands : tuple of str
        Shortest wavelength first.
    seeing : tuple of float
        Range of the FWHM of stars in the r band, arcsec.
    depth : dict
        AB magnitude of a point source at five sigma in median seeing, per band.
    zeropoint : float
        AB magnitude of one image unit.
    gain : float
        Electrons per image unit (of a single exposure of this depth).
    saturation : float
        Magnitude in r at which a star saturates in median seeing.

    Examples
    --------
    >>> from astrogalaxy.simulation import PROFILES
    >>> PROFILES["sdss"].pixel_scale, PROFILES["sdss"].zeropoint
    (0.396, 22.5)
    """

    name: str
    pixel_scale: float
    bands: tuple[str, ...]
    seeing: tuple[float, float]
    depth: dict[str, float]
    zeropoint: float
    gain: float
    saturation: float


#: Ready profiles, by name.
PROFILES = {
    "sdss": SurveyProfile(
        "sdss", 0.396, ("g", "r", "i"), (0.85, 1.65),
        {"u": 22.1, "g": 23.1, "r": 22.7, "i": 22.2, "z": 20.7}, 22.5, 200.0, 14.0,
    ),
    "decam": SurveyProfile(
        "decam", 0.262, ("g", "r", "z"), (0.75, 1.6),
        {"g": 24.5, "r": 24.0, "i": 23.5, "z": 23.0}, 22.5, 400.0, 16.0,
    ),
    "hsc": SurveyProfile(
        "hsc", 0.168, ("g", "r", "i"), (0.45, 1.0),
        {"g": 26.6, "r": 26.2, "i": 26.0, "z": 25.3, "y": 24.5}, 27.0, 3.0, 18.5,
    ),
    "panstarrs": SurveyProfile(
        "panstarrs", 0.25, ("g", "r", "i"), (0.9, 1.5),
        {"g": 23.3, "r": 23.2, "i": 23.1, "z": 22.3, "y": 21.3}, 25.0, 1.0, 14.5,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Conditions:
    """One observation of a profile: drawn once per scene.

    Attributes
    ----------
    seeing : dict
        FWHM per band, arcsec.
    noise : dict
        Sky noise per pixel and band, image units.
    beta : float
        Moffat exponent of the PSF.
    shear : tuple of float
        Ellipticity components of the PSF.
    crowding : float
        Factor on the counts of stars.
    clustering : float
        Factor on the counts of galaxies.
    pairs : float
        Share of the sources that are put close beside another one, as chance seldom does.
    nearby : float
        Expected number of big nearby galaxies, far more than the sky has.
    even : bool
        As many galaxies as stars at every magnitude, bright ones as often as faint ones, and galaxies of every
        size. No sky is like that, but what the sky seldom shows must be learned, too. Of the densities only
        ``clustering`` is used then.
    halo : float
        Share of a star's light in a halo wider than the Moffat profile.
    spikes : float
        Share of a star's light in its four diffraction spikes.
    spike_angle : float
        Direction of the first spike, radian.
    bleeding : int, optional
        Direction in which the charge of saturated stars runs over: 0 along columns, 1 along
        rows; not at all by default.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.simulation import PROFILES, draw_conditions
    >>> conditions = draw_conditions(PROFILES["sdss"], np.random.default_rng(1))
    >>> list(conditions.seeing) == list(conditions.noise) == list(PROFILES["sdss"].bands)
    True
    """

    seeing: dict[str, float]
    noise: dict[str, float]
    beta: float
    shear: tuple[float, float]
    crowding: float
    clustering: float
    pairs: float = 0.0
    nearby: float = 0.0
    even: bool = False
    halo: float = 0.0
    spikes: float = 0.0
    spike_angle: float = 0.0
    bleeding: int | None = None


def vary(profile: SurveyProfile, rng: np.random.Generator) -> SurveyProfile:
    """Return the profile with pixel scale, depth and bands of a survey near it (domain randomisation).

    Parameters
    ----------
    profile : SurveyProfile
        Of the survey; it is not changed.
    rng : numpy.random.Generator
        What chance is drawn from.

    Returns
    -------
    SurveyProfile
        The same for the same state of the generator.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.simulation import PROFILES, vary
    >>> other = vary(PROFILES["sdss"], np.random.default_rng(1))
    >>> other.name, other.pixel_scale != PROFILES["sdss"].pixel_scale
    ('sdss', True)
    """
    scale = profile.pixel_scale * float(rng.uniform(*SCALE_RANGE))
    shift = float(rng.normal(0, 0.5))
    depth = {band: m + shift + float(rng.normal(0, 0.2)) for band, m in profile.depth.items()}
    bands = profile.bands
    if rng.random() < _OTHER_BANDS:
        known = sorted(depth, key=BAND_WAVELENGTHS.__getitem__)
        chosen = np.sort(rng.choice(len(known), int(rng.integers(1, len(known) + 1)), replace=False))
        bands = tuple(known[i] for i in chosen)
    return replace(profile, pixel_scale=scale, depth=depth, bands=bands)


def draw_conditions(profile: SurveyProfile, rng: np.random.Generator) -> Conditions:
    """Draw seeing, PSF, depth and source density of one scene.

    Parameters
    ----------
    profile : SurveyProfile
        Of the survey.
    rng : numpy.random.Generator
        What chance is drawn from.

    Returns
    -------
    Conditions
        The same for the same state of the generator.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.simulation import PROFILES, draw_conditions
    >>> conditions = draw_conditions(PROFILES["sdss"], np.random.default_rng(1))
    >>> 0.5 < conditions.seeing["r"] < 3.0  # arcsec
    True
    """
    base = float(rng.uniform(*profile.seeing))
    seeing, noise = {}, {}
    for band in profile.bands:
        chromatic = (BAND_WAVELENGTHS[band] / BAND_WAVELENGTHS["r"]) ** -0.2
        seeing[band] = base * chromatic * float(rng.lognormal(0, 0.05))
        noise[band] = _sky_noise(profile, band)
    angle, size = rng.uniform(0, np.pi), min(abs(rng.normal(0, 0.03)), 0.1)
    crowded = rng.random() < _CROWDED
    return Conditions(
        seeing=seeing,
        noise=noise,
        beta=float(rng.uniform(2.4, 4.8)),
        shear=(float(size * np.cos(2 * angle)), float(size * np.sin(2 * angle))),
        crowding=float(np.exp(rng.uniform(*np.log(_CROWDING))) if crowded else rng.lognormal(0, 0.6)),
        clustering=float(rng.lognormal(0, 0.4)),
        pairs=float(rng.uniform(0, _PAIRS)) if rng.random() < 0.5 else 0.0,
        nearby=_NEARBY,
        halo=float(rng.uniform(0, 0.08)),
        spikes=float(rng.uniform(0, 0.015)) if rng.random() < 0.7 else 0.0,
        spike_angle=float(rng.uniform(0, np.pi / 2)),
        bleeding=int(rng.integers(2)) if rng.random() < 0.4 else None,
    )


def _sky_noise(profile: SurveyProfile, band: str) -> float:
    """Noise per pixel that puts the five-sigma point source at the profile's depth."""
    flux = 10 ** (-0.4 * (profile.depth[band] - profile.zeropoint))
    sigma_pixels = np.mean(profile.seeing) / FWHM_PER_SIGMA / profile.pixel_scale
    # a matched Gaussian filter integrates the noise over 4 pi sigma^2 pixels
    return float(flux / 5 / np.sqrt(4 * np.pi * sigma_pixels**2))
