"""What only a whole field can tell: corrections from its stars, and how good its seeing was.

Where there are too few, a point spread that is given tells what stars would be like.

Tiles are measured one by one, and a tile may hold no star at all. So that the catalogue does not depend on the tiles,
what rests on the field's stars is put in when its tiles are joined.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.catalog.flags import has_flags
from astrogalaxy.gaussian import MEDIAN_ERROR, median_and_scatter
from astrogalaxy.images.emptyapertures import noise_factor
from astrogalaxy.images.seeing import stars_radius
from astrogalaxy.measurement.photometry import circle_sums, half_light_radius
from astrogalaxy.measurement.psf import Psf
from astrogalaxy.measurement.psfstars import field_psfs
from astrogalaxy.measurement.reference import SMALL_RADIUS
from astrogalaxy.measurement.seeing import CLEAR, CLEAR_SNR, DISTURBED, star_radius
from astrogalaxy.measurement.starlight import Starlight, field_starlight

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

    from astrogalaxy.images import Band, Image

__all__ = [
    "GIVEN_QUALITY", "Correction", "FieldQuality", "calibrate_field", "field_conditions", "field_quality",
    "given_quality", "restore_conditions",
]  # fmt: skip

GIVEN_QUALITY = "TILEPSF"
"""Key of tables' ``meta`` under which a tile keeps what `given_quality` says."""

# A star to correct by: probably one, bright in the band, as wide as the others, and whole.
_ALIKE = 0.12
_LEAST = 6
# Where stars tell the correction of PSF fluxes no better than this, as a share of it, the point spread is not theirs.
_SURE = 0.05


@dataclass(frozen=True)
class Correction:
    """Correction of the light of points in a band: of that in the small aperture, or of the PSF flux.

    Attributes
    ----------
    factor, error : float
        Total light of stars over theirs; NaN: too few stars, or they do not agree.
    stars : int
        How many; 0 with a factor that is by a given point spread.
    """

    factor: float = float("nan")
    error: float = float("nan")
    stars: int = 0


@dataclass(frozen=True)
class FieldQuality:
    """What a field's stars say of it.

    Attributes
    ----------
    stars : int
        Stars that are clear, bright and whole.
    seeing, seeing_spread : float
        Median FWHM of stars in the reference band, and 1.4826 times the median absolute deviation, arcsec.
    ellipticity : float
        Median ellipticity of the stars.
    star_radius : float
        Their half-light radius, arcsec.
    corrections, psf_corrections : dict of str to Correction
        Of the small aperture and of the PSF flux, by band.

    Examples
    --------
    >>> from astrogalaxy.measurement import FieldQuality
    >>> quality = FieldQuality(stars=3)
    >>> quality.to_dict()["seeing"] is None  # too few stars to tell
    True
    """

    stars: int = 0
    seeing: float = float("nan")
    seeing_spread: float = float("nan")
    ellipticity: float = float("nan")
    star_radius: float = float("nan")
    corrections: dict[str, Correction] = field(default_factory=dict)
    psf_corrections: dict[str, Correction] = field(default_factory=dict)

    def filled(self, other: FieldQuality) -> FieldQuality:
        """With the radius and the corrections of another, where stars do not tell them."""
        merged = {
            name: {
                band: mine if np.isfinite(mine.factor) else getattr(other, name).get(band, mine)
                for band, mine in getattr(self, name).items()
            }
            for name in ("corrections", "psf_corrections")
        }
        radius = self.star_radius if np.isfinite(self.star_radius) else other.star_radius
        return replace(self, star_radius=radius, **merged)

    @classmethod
    def from_json(cls, text: str) -> FieldQuality:
        """Undo `to_json`."""
        values = json.loads(text)
        for name in {"corrections", "psf_corrections"} & set(values):
            values[name] = {band: Correction(**entry) for band, entry in values[name].items()}
        return cls(**values)

    def to_json(self) -> str:
        """All of it, NaN included, to be kept in a file."""
        return json.dumps(asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: None stands for what is not known."""

        def plain(value: Any) -> Any:
            """A value that JSON knows."""
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return plain(asdict(self))


def given_quality(image: Image) -> FieldQuality:
    """What stars with the given point spreads would say of a field; NaN, or no correction, where none is given.

    Parameters
    ----------
    image : Image
        The field.

    Returns
    -------
    FieldQuality
        With ``star_radius`` and corrections, of no stars and without error.

    Examples
    --------
    >>> import numpy as np
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.measurement import given_quality
    >>> y, x = np.mgrid[-15:16, -15:16]
    >>> psf, sky = np.exp(-(x**2 + y**2) / 8), np.random.default_rng(0).normal(size=(90, 120))
    >>> quality = given_quality(ag.Image.read({"g": sky, "r": sky, "i": sky}, psf={"g": psf}))
    >>> list(quality.psf_corrections), round(quality.psf_corrections["g"].factor, 2)
    (['g'], 0.96)
    """
    lights, psfs = field_starlight(image), field_psfs(image)
    radius, corrections, psf_corrections = float("nan"), {}, {}
    for name, band in image.bands.items():
        given = band.given_psf
        if given is None:
            continue
        x, y, stamps = given.stars(psfs[name].half)
        point = psfs[name].fit(stamps.astype(np.float32), np.ones(stamps.shape, np.float32), x, y).point
        row = given.row(2 * given.half + 1)
        small, _ = circle_sums(row[0], None, *row[1:], SMALL_RADIUS * lights[name].sigma)
        for found, light in ((corrections, small), (psf_corrections, point)):
            found[name] = Correction(1 / float(np.median(light)), 0.0)
        if name == image.reference:
            largest = np.full(len(x), 2.0 * given.half)
            radius = float(np.median(half_light_radius(*row, largest, np.ones(len(x)))))
            radius *= 1.0 if band.wcs is None else band.pixel_scale
    return FieldQuality(star_radius=radius, corrections=corrections, psf_corrections=psf_corrections)


def field_quality(catalog: Table, *, bands: tuple[str, ...]) -> FieldQuality:
    """Look at the stars of a field.

    Parameters
    ----------
    catalog : Table
        All sources of one field, with ``p_star``; fluxes of the small aperture and of the PSF as measured.
    bands : tuple of str
        Bands of the catalogue.

    Returns
    -------
    FieldQuality
        NaN where fewer than six stars tell it.

    Examples
    --------
    >>> from astrogalaxy.catalog import SourceCatalog
    >>> from astrogalaxy.measurement import field_quality
    >>> stars = {"half_light_radius": [1.0] * 9, "p_star": [0.99] * 9, "snr": [200.0] * 9, "fwhm": [1.3] * 9}
    >>> quality = field_quality(SourceCatalog.from_columns(stars, bands=["r"]), bands=("r",))
    >>> quality.stars, round(quality.seeing, 2), quality.star_radius
    (9, 1.3, 1.0)
    """
    radius, snr = (np.asarray(catalog[name], dtype=float) for name in ("half_light_radius", "snr"))
    p_star, flags = np.asarray(catalog["p_star"], dtype=float), np.asarray(catalog["flags"])
    whole = ~has_flags(flags, *DISTURBED)

    def alike(ruler: float, least: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Clear stars as wide as the ruler, and the bright ones of them."""
        with np.errstate(divide="ignore", invalid="ignore"):
            clear = (p_star > least) & (np.abs(np.log(radius / ruler)) < _ALIKE) & whole
            return clear, clear & (snr > CLEAR_SNR)

    ruler = star_radius(radius, snr, p_star, flags)
    clear, stars = alike(ruler, CLEAR)
    if stars.sum() < _LEAST and has_flags(flags, "outside_weight").all():
        # few classes are clear to a network that has never seen such stars
        ruler = stars_radius(radius[whole], snr[whole])
        clear, stars = alike(ruler, 0.5)
    if stars.sum() < _LEAST:
        none, psf = ({band: Correction() for band in bands} for _ in range(2))
        return FieldQuality(int(stars.sum()), corrections=none, psf_corrections=psf)
    fwhm = np.asarray(catalog["fwhm"], dtype=float)[stars]
    seeing, spread = median_and_scatter(fwhm)
    return FieldQuality(
        stars=int(stars.sum()),
        seeing=seeing,
        seeing_spread=spread,
        ellipticity=median_and_scatter(np.asarray(catalog["ellipticity"], dtype=float)[stars])[0],
        star_radius=ruler,
        corrections={band: _correction(catalog, "flux_apcor", band, clear) for band in bands},
        psf_corrections={band: _sure(_correction(catalog, "flux_psf", band, clear)) for band in bands},
    )


def _correction(catalog: Table, name: str, band: str, clear: NDArray[np.bool_]) -> Correction:
    total, error, light = (
        np.asarray(catalog[column], dtype=float) for column in (f"flux_{band}", f"flux_{band}_err", f"{name}_{band}")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        used = clear & (total > CLEAR_SNR * error) & (light > 0)
    n = int(used.sum())
    if n < _LEAST:
        return Correction(stars=n)
    factor, spread = median_and_scatter(total[used] / light[used])
    return Correction(factor, float(MEDIAN_ERROR * spread / np.sqrt(n)), n)


def _sure(correction: Correction) -> Correction:
    """A correction, without its factor where the stars do not agree on it."""
    unsure = correction.error > _SURE * correction.factor
    return Correction(stars=correction.stars) if unsure else correction


def calibrate_field(catalog: Table, *, given: FieldQuality | None = None) -> FieldQuality:
    """Correct the fluxes of points by the field's stars, and take the seeing out of sizes, in place.

    ``flux_apcor_<b>`` becomes the total light of a point source: the light in the small aperture times the median,
    over the field's stars, of their total light over it. So does ``flux_psf_<b>``. ``radius_corr`` becomes the root
    of the difference of the squares of the half-light radius and that of stars. Where there are fewer than six stars
    all of these are NaN, unless it is ``given`` what stars would say; so is ``flux_psf_<b>`` where they do not agree on
    its correction to 5 %.

    Parameters
    ----------
    catalog : SourceCatalog
        All sources of one field, once; with ``p_star`` as it is to be.
    given : FieldQuality, optional
        See `given_quality`.

    Returns
    -------
    FieldQuality
        What the stars said, and where there are too few, what is given.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.catalog import SourceCatalog
    >>> from astrogalaxy.measurement import calibrate_field
    >>> columns = {"half_light_radius": [1.0] * 9 + [2.0], "p_star": [0.99] * 9 + [0.01], "snr": [200.0] * 10}
    >>> columns |= {"flux_r": [1000.0] * 10, "flux_apcor_r": [800.0] * 10}
    >>> catalog = SourceCatalog.from_columns(columns, bands=["r"])
    >>> quality = calibrate_field(catalog)
    >>> quality.stars, catalog["radius_corr"][-1].round(2)
    (9, np.float32(1.73))
    """
    bands = tuple(catalog.bands)  # type: ignore[attr-defined]
    quality = field_quality(catalog, bands=bands).filled(given or FieldQuality())
    for name, corrections in (("flux_apcor", quality.corrections), ("flux_psf", quality.psf_corrections)):
        for band, correction in corrections.items():
            flux, error = (np.asarray(catalog[f"{name}_{band}{end}"], dtype=float) for end in ("", "_err"))
            catalog[f"{name}_{band}"][:] = correction.factor * flux
            catalog[f"{name}_{band}_err"][:] = np.hypot(correction.factor * error, correction.error * flux)
    radius = np.asarray(catalog["half_light_radius"], dtype=float)
    catalog["radius_corr"][:] = np.sqrt(np.maximum(radius**2 - quality.star_radius**2, 0.0))
    return quality


def field_conditions(image: Image) -> dict[str, NDArray[np.float64]]:
    """What measurement knows of a field's stars and noise, for `restore_conditions`.

    Parameters
    ----------
    image : Image
        The field.

    Returns
    -------
    dict of str to ndarray
        Plain numbers by band.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.measurement import field_conditions
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=192, seed=2)
    >>> conditions = field_conditions(ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}))
    >>> list(conditions), conditions["r"].ndim
    (['r'], 1)
    """
    stars, psfs = field_starlight(image), field_psfs(image)
    return {
        name: np.concatenate(
            [[stars[name].sigma, stars[name].kron, noise_factor(band), *band.shift], psfs[name].to_array()]
        )
        for name, band in image.bands.items()
    }


def restore_conditions(band: Band, values: NDArray[np.float64]) -> None:
    """Give a band what `field_conditions` found out in another process.

    Parameters
    ----------
    band : Band
        It is changed.
    values : ndarray
        Its entry of `field_conditions`.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.measurement import field_conditions, restore_conditions
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=192, seed=2)
    >>> source = {"r": (scene.images["r"], scene.wcs["r"])}
    >>> image, same = ag.Image.read(source), ag.Image.read(source)
    >>> restore_conditions(same.bands["r"], field_conditions(image)["r"])
    >>> same.bands["r"].noise_factor == image.bands["r"].noise_factor
    True
    """
    sigma, kron, factor, dx, dy = (float(value) for value in values[:5])
    band.starlight, band.noise_factor, band.psf = Starlight(sigma, kron), factor, Psf.from_array(values[5:])
    band.shift = dx, dy
