"""Survey profiles: pixel scale, bands, seeing and depth of the surveys that scenes imitate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["BAND_WAVELENGTHS", "PROFILES", "SCALE_RANGE", "Conditions", "SurveyProfile", "draw_conditions", "vary"]

#: Central wavelengths in nm of the bands that a scene can be drawn in.
BAND_WAVELENGTHS = {
    "u": 355.0, "g": 477.0, "r": 623.0, "i": 763.0, "z": 913.0, "y": 1000.0, "Y": 1000.0,
    "J": 1250.0, "H": 1630.0, "Ks": 2150.0,
}  # fmt: skip


#: Factors by which `vary` changes the pixel scale, at most.
SCALE_RANGE = (0.8, 1.2)


@dataclass(frozen=True)
class SurveyProfile:
    """What distinguishes the images of one survey from another's.

    Parameters
    ----------
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
        r magnitude at which a star saturates in median seeing.
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
        "sdss", 0.396, ("g", "r", "i"), (1.05, 1.6),
        {"u": 22.1, "g": 23.1, "r": 22.7, "i": 22.2, "z": 20.7}, 22.5, 200.0, 14.0,
    ),
    "decam": SurveyProfile(
        "decam", 0.262, ("g", "r", "z"), (0.8, 1.5),
        {"g": 24.5, "r": 24.0, "i": 23.5, "z": 23.0}, 22.5, 400.0, 16.0,
    ),
    "hsc": SurveyProfile(
        "hsc", 0.168, ("g", "r", "i"), (0.5, 0.95),
        {"g": 26.6, "r": 26.2, "i": 26.0, "z": 25.3, "y": 24.5}, 27.0, 3.0, 18.5,
    ),
    "panstarrs": SurveyProfile(
        "panstarrs", 0.25, ("g", "r", "i"), (0.95, 1.4),
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
    """

    seeing: dict[str, float]
    noise: dict[str, float]
    beta: float
    shear: tuple[float, float]
    crowding: float
    clustering: float


def vary(profile: SurveyProfile, rng: np.random.Generator) -> SurveyProfile:
    """Return the profile with pixel scale and depth of a survey near it (domain randomisation)."""
    scale = profile.pixel_scale * float(rng.uniform(*SCALE_RANGE))
    shift = float(rng.normal(0, 0.5))
    depth = {band: m + shift + float(rng.normal(0, 0.2)) for band, m in profile.depth.items()}
    return replace(profile, pixel_scale=scale, depth=depth)


def draw_conditions(profile: SurveyProfile, rng: np.random.Generator) -> Conditions:
    """Draw seeing, PSF, depth and source density of one scene."""
    base = float(rng.uniform(*profile.seeing))
    seeing, noise = {}, {}
    for band in profile.bands:
        chromatic = (BAND_WAVELENGTHS[band] / BAND_WAVELENGTHS["r"]) ** -0.2
        seeing[band] = base * chromatic * float(rng.lognormal(0, 0.05))
        noise[band] = _sky_noise(profile, band)
    angle, size = rng.uniform(0, np.pi), min(abs(rng.normal(0, 0.03)), 0.1)
    crowded = rng.random() < 0.12
    return Conditions(
        seeing=seeing,
        noise=noise,
        beta=float(rng.uniform(2.4, 4.8)),
        shear=(float(size * np.cos(2 * angle)), float(size * np.sin(2 * angle))),
        crowding=float(rng.lognormal(1.8, 0.5) if crowded else rng.lognormal(0, 0.6)),
        clustering=float(rng.lognormal(0, 0.4)),
    )


def _sky_noise(profile: SurveyProfile, band: str) -> float:
    """Noise per pixel that puts the five-sigma point source at the profile's depth."""
    flux = 10 ** (-0.4 * (profile.depth[band] - profile.zeropoint))
    sigma_pixels = np.mean(profile.seeing) / 2.355 / profile.pixel_scale
    # a matched Gaussian filter integrates the noise over 4 pi sigma^2 pixels
    return float(flux / 5 / np.sqrt(4 * np.pi * sigma_pixels**2))
