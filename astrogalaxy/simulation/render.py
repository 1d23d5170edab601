"""Draw stars and galaxies with GalSim onto arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Row, Table
from numpy.typing import NDArray

from astrogalaxy.errors import brought_by
from astrogalaxy.images.stars import half_light_radius
from astrogalaxy.simulation.profiles import Conditions, SurveyProfile

with brought_by("train"):
    import galsim

__all__ = ["Stamp", "draw_sources", "point_spread", "star_size"]

# Training scenes need no accuracy beyond the noise: coarse transforms draw ten times faster.
_FAST = galsim.GSParams(
    folding_threshold=2e-2,
    maxk_threshold=1e-2,
    kvalue_accuracy=1e-4,
    xvalue_accuracy=1e-4,
    stepk_minimum_hlr=3,
    minimum_fft_size=48,
    maximum_fft_size=8192,
)
_SMALLEST, _LARGEST = 20, 1200
# Halo and spikes are drawn around stars that are brighter than this much fainter than saturation.
_SHOWS_HALO = 2.5
# Their profiles, in units of the seeing: core of the halo, width and length of the spikes.
_HALO_CORE, _SPIKE_WIDTH, _SPIKE_LENGTH = 3.0, 0.35, 10.0

Image = NDArray[np.float32]
Positions = tuple[NDArray[np.float64], NDArray[np.float64]]


class Stamp:
    """Where one source's light was added, and how significant it is there.

    Attributes
    ----------
    snr : float
        Signal to noise of a matched filter, all bands in quadrature.
    peak : dict
        Brightest pixel of the source alone, per band.
    """

    __slots__ = ("peak", "snr")

    def __init__(self) -> None:
        self.snr = 0.0
        self.peak: dict[str, float] = {}


def point_spread(conditions: Conditions, band: str, *, accurate: bool = False) -> galsim.GSObject:
    """Return the PSF of a band: a sheared Moffat profile."""
    moffat = galsim.Moffat(beta=conditions.beta, fwhm=conditions.seeing[band], gsparams=None if accurate else _FAST)
    return moffat.shear(g1=conditions.shear[0], g2=conditions.shear[1])


def star_size(conditions: Conditions, band: str, pixel_scale: float) -> float:
    """Half-light diameter of stars in pixels, as `~astrogalaxy.images.Band.seeing` measures it."""
    half = conditions.seeing[band] / pixel_scale / 2
    side = 2 * int(6 * half + 8) + 1
    star = point_spread(conditions, band).drawImage(nx=side, ny=side, scale=pixel_scale).array
    centre = np.array([side // 2], dtype=float)
    return 2 * float(half_light_radius(np.ascontiguousarray(star), centre, centre, np.array([half]))[0])


def draw_sources(
    images: Mapping[str, Image],
    table: Table,
    profile: SurveyProfile,
    conditions: Conditions,
    *,
    positions: Mapping[str, Positions],
    rng: np.random.Generator,
    accurate: bool = False,
) -> list[Stamp]:
    """Add the sources of a table to the images, in place.

    Parameters
    ----------
    images : mapping of str to ndarray
        One ``(ny, nx)`` float32 array per band.
    table : Table
        A population.
    profile : SurveyProfile
        The survey that they are like.
    conditions : Conditions
        Of this observation.
    positions : mapping of str to (ndarray, ndarray)
        Positions x and y of the sources in 0-based pixels of each band's own grid.
    rng : numpy.random.Generator
        What chance is drawn from.
    accurate : bool
        GalSim's default accuracy (for truth tests) instead of the fast one.

    Returns
    -------
    list of Stamp
        One per row.
    """
    psfs = {band: point_spread(conditions, band, accurate=accurate) for band in images}
    return [
        _draw_one(
            images,
            row,
            profile,
            conditions,
            psfs,
            {band: (x[i], y[i]) for band, (x, y) in positions.items()},
            rng,
            accurate,
        )
        for i, row in enumerate(table)
    ]


def _draw_one(
    images: Mapping[str, Image],
    row: Row,
    profile: SurveyProfile,
    conditions: Conditions,
    psfs: Mapping[str, galsim.GSObject],
    places: Mapping[str, tuple[float, float]],
    rng: np.random.Generator,
    accurate: bool,
) -> Stamp:
    stamp = Stamp()
    shape = _galaxy(row, rng, accurate) if row["class"] == "galaxy" else None
    power = 0.0
    for band, image in images.items():
        flux = 10 ** (-0.4 * (float(row[f"mag_{band}"]) - profile.zeropoint))
        seen = psfs[band] if shape is None else galsim.Convolve(shape, psfs[band])
        light = _light(
            seen.withFlux(flux),
            *places[band],
            profile.pixel_scale,
            _side(row, flux, conditions, band, profile),
        )
        stamp.peak[band] = float(light.array.max(initial=0.0))
        power += float(np.sum(light.array.astype(float) ** 2)) / conditions.noise[band] ** 2
        _add(image, light)
        if shape is None:
            _add_glare(image, row, flux, *places[band], conditions, band, profile)
    stamp.snr = float(np.sqrt(power))
    return stamp


def _side(row: Row, flux: float, conditions: Conditions, band: str, profile: SurveyProfile) -> int:
    """Side of the stamp: to where the profile sinks well under the noise."""
    radius = conditions.seeing[band] / 2
    if row["class"] == "galaxy":
        radius = np.hypot(radius, max(row["bulge_radius"] * row["bulge_fraction"] * 1.4, row["disk_radius"]))
    pixels = radius / profile.pixel_scale
    central = flux / (2 * np.pi * pixels**2) / conditions.noise[band]
    side = 2 * pixels * (2.5 + 2.2 * np.log10(max(central, 1.0)))
    return int(np.clip(2 * np.ceil(side / 2), _SMALLEST, _LARGEST))


def _galaxy(row: Row, rng: np.random.Generator, accurate: bool) -> galsim.GSObject:
    params = None if accurate else _FAST
    angle = float(row["angle"]) * galsim.radians
    fraction = float(row["bulge_fraction"])
    parts = []
    if fraction > 0.02:
        bulge = galsim.Sersic(
            n=float(row["bulge_sersic"]),
            flux=fraction,
            gsparams=params,
            half_light_radius=float(row["bulge_radius"] * np.sqrt(row["bulge_q"])),
        )
        parts.append(bulge.shear(q=float(row["bulge_q"]), beta=angle))
    if fraction < 0.98:
        knots = float(row["knots"])
        q = float(row["disk_q"])
        # radii are those of the major axis; GalSim's shear keeps the area
        radius = float(row["disk_radius"]) * np.sqrt(q)
        disk = galsim.Exponential(half_light_radius=radius, flux=(1 - fraction) * (1 - knots), gsparams=params)
        if knots > 0:
            disk += galsim.RandomKnots(
                npoints=int(rng.integers(4, 25)),
                half_light_radius=radius,
                flux=(1 - fraction) * knots,
                rng=galsim.BaseDeviate(int(rng.integers(1, 2**31))),
                gsparams=params,
            )
        parts.append(disk.shear(q=q, beta=angle))
    return galsim.Add(parts)


def _light(profile: galsim.GSObject, x: float, y: float, scale: float, side: int) -> galsim.Image:
    """Draw on a stamp whose centre lies near the source; pixel (0, 0) is the image's first."""
    ix, iy = round(x), round(y)
    stamp = galsim.ImageF(side + 1, side + 1, xmin=ix - side // 2, ymin=iy - side // 2)
    return profile.drawImage(image=stamp, scale=scale, center=galsim.PositionD(x, y))


def _add_glare(
    image: Image,
    row: Row,
    flux: float,
    x: float,
    y: float,
    conditions: Conditions,
    band: str,
    profile: SurveyProfile,
) -> None:
    """Add halo, spikes and overflowing charge of a bright star: they belong to it, and are no sources."""
    brighter = profile.saturation + _SHOWS_HALO - float(row[f"mag_{band}"])
    if brighter < 0:
        return
    seeing = conditions.seeing[band] / profile.pixel_scale
    reach = int(min(seeing * 12 * 10 ** (0.13 * brighter), _LARGEST / 2))
    ix, iy = round(x), round(y)
    x0, x1 = max(ix - reach, 0), min(ix + reach + 1, image.shape[1])
    y0, y1 = max(iy - reach, 0), min(iy + reach + 1, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    dy, dx = np.mgrid[y0:y1, x0:x1].astype(float)
    dx, dy = (dx - x) / seeing, (dy - y) / seeing
    around = image[y0:y1, x0:x1]
    around += (flux / seeing**2 * _glare(dx, dy, conditions)).astype(np.float32)
    excess = brighter - _SHOWS_HALO
    if conditions.bleeding is not None and excess > 0:
        along, across = (dx, dy) if conditions.bleeding else (dy, dx)
        full = (np.abs(across) < 0.4) & (np.abs(along) < 1.5 * 10 ** (0.3 * excess))
        # more than any pixel holds: saturation will cut it
        around[full] = flux


def _glare(dx: NDArray[np.float64], dy: NDArray[np.float64], conditions: Conditions) -> NDArray[np.float64]:
    """Surface brightness of halo and spikes of a star of unit flux, lengths in units of the seeing."""
    square = dx**2 + dy**2
    # a power law that falls as r^-3 and holds unit flux
    glare = conditions.halo / (2 * np.pi * _HALO_CORE**2) * (1 + square / _HALO_CORE**2) ** -1.5
    if conditions.spikes > 0:
        norm = conditions.spikes / (4 * np.sqrt(2 * np.pi) * _SPIKE_WIDTH * _SPIKE_LENGTH)
        for angle in (conditions.spike_angle, conditions.spike_angle + np.pi / 2):
            along = dx * np.cos(angle) + dy * np.sin(angle)
            across = square - along**2
            glare += norm * np.exp(-across / (2 * _SPIKE_WIDTH**2) - np.abs(along) / _SPIKE_LENGTH)
    return np.asarray(glare)


def _add(image: Image, light: galsim.Image) -> None:
    bounds = light.bounds & galsim.BoundsI(0, image.shape[1] - 1, 0, image.shape[0] - 1)
    if bounds.isDefined():
        image[bounds.ymin : bounds.ymax + 1, bounds.xmin : bounds.xmax + 1] += light[bounds].array
