"""Rounds of injections into one field: inject sources, search for them, and compare."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.evaluation.injection.conditions import FieldConditions, Injection, observe
from astrogalaxy.evaluation.injection.match import free_and_good, match_round, mirrored
from astrogalaxy.evaluation.injection.recovery import Baseline, Recovery, Round, join
from astrogalaxy.evaluation.injection.sources import draw_sample, lay_sources
from astrogalaxy.evaluation.injection.tables import FLUXES
from astrogalaxy.images import Image, Section

__all__ = ["inject_and_recover", "look", "recover_round"]

Detect = Callable[[Image], SourceCatalog]

# Matches lie within one full width of a star at half maximum, but not less than this many pixels.
_LEAST_RADIUS = 1.5
# What turns up within so many widths, or half-light radii, of an injected source is of its making.
_NEAR_WIDTHS, _NEAR_RADII = 5.0, 3.0
_MEASURED = ("x", "y", "ra", "dec", "det_score", "p_galaxy", "snr", "half_light_radius")
# Rows of pixels that are read together.
_ROWS = 512
_USUAL = Injection()


def inject_and_recover(
    image: Image,
    detect: Detect,
    *,
    rounds: int = 10,
    progress: Callable[[int, int], None] | None = None,
    **injection: Any,
) -> Recovery:
    """Inject simulated stars and galaxies into a field, and see which of them come out.

    Parameters
    ----------
    image : Image
        The field, with a WCS; nothing in it is changed.
    detect : callable
        Gives the catalogue of an image, as `astrogalaxy.detect` does: a `SourceCatalog`.
    rounds : int
        How often; each with other sources at other places.
    progress : callable, optional
        Called with rounds done and rounds in all.
    **injection
        What is injected: ``density``, ``magnitudes``, ``like``, ``seeing`` and ``seed`` of an `Injection`.

    Returns
    -------
    Recovery
        What became of each injected source, with tables and curves.

    Raises
    ------
    ConfigError
        If the wavelength of one of several bands is unknown.
    ImageError
        If the image has no WCS, or no stars to measure its seeing and it is not given.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.evaluation.injection import inject_and_recover
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=256, seed=2, artefacts=False)
    >>> image = ag.Image.read({b: (scene.images[b], scene.wcs[b]) for b in "gri"}, zeropoint=22.5)
    >>> recovery = inject_and_recover(image, ag.detect, rounds=2)
    >>> recovery.reference, len(recovery.completeness()) > 0
    ('r', True)
    """
    settings, made = Injection(**injection), []
    base = look(image, detect, settings)
    for number in range(rounds):
        made.append(recover_round(image, base, detect, settings, number=number))
        if progress is not None:
            progress(number + 1, rounds)
    return join([(base, made)])


def look(image: Image, detect: Detect, injection: Injection = _USUAL) -> Baseline:
    """Find a field's own sources before anything is injected, and the noise that is taken for sources.

    Parameters
    ----------
    image : Image
        The field, with a WCS.
    detect : callable
        Gives the catalogue of an image; see `inject_and_recover`.
    injection : Injection, optional
        What will be injected: its ``like`` and ``seeing`` are used.

    Returns
    -------
    Baseline
        For `recover_round`.

    Raises
    ------
    ConfigError, ImageError
        As `inject_and_recover`.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.evaluation.injection import Injection, look
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=192, seed=2, artefacts=False)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}, zeropoint=22.5)
    >>> base = look(image, ag.detect, Injection(seeing=1.2))
    >>> base.conditions.reference, len(base.catalog) > 0
    ('r', True)
    """
    catalog = detect(image)
    conditions = observe(image, catalog, like=injection.like, seeing=injection.seeing)
    false = _brief(detect(mirrored(image, catalog)), conditions)
    free, good = free_and_good(image, catalog)
    return Baseline(
        image.name or "field", catalog, _brief(catalog, conditions), false, free, conditions,
        good * (image.pixel_scale / 60) ** 2,
    )  # fmt: skip


def recover_round(image: Image, base: Baseline, detect: Detect, injection: Injection = _USUAL, *, number: int) -> Round:
    """Inject sources into a field once, and find them again.

    Parameters
    ----------
    image : Image
        The field; nothing in it is changed.
    base : Baseline
        The field as it was; see `look`.
    detect : callable
        Gives the catalogue of an image; see `inject_and_recover`.
    injection : Injection, optional
        What is injected.
    number : int
        Number of the round; other rounds inject other sources.

    Returns
    -------
    Round
        For `join`.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.evaluation.injection import Injection, look, recover_round
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=192, seed=2, artefacts=False)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}, zeropoint=22.5)
    >>> base = look(image, ag.detect, Injection(seeing=1.2))
    >>> made = recover_round(image, base, ag.detect, number=0)
    >>> made.number, len(made.injected) > 0, {"found", "class", "mag_r"} <= set(made.injected.colnames)
    (0, True, True)
    """
    root = np.random.SeedSequence([injection.seed, zlib.crc32(base.name.encode()), number])
    drawing, laying = root.spawn(2)
    conditions, band = base.conditions, image.reference
    sample = draw_sample(image, conditions, injection, n_found=len(base.catalog), rng=np.random.default_rng(drawing))
    lit, truth = lay_sources(image, sample, conditions, seed=laying)
    truth = truth[_on_good_pixels(image, truth)]
    found = detect(lit)
    radius = max(conditions.spreads[band].fwhm, _LEAST_RADIUS)
    match = match_round(truth, found, base.catalog, band=band, radius=radius)
    injected = _outcome(truth, found, match.row, match.confused, image)
    extra, share = _extra(found[match.extra], truth, base, image)
    return Round(number, injected, extra, share)


def _brief(catalog: SourceCatalog, conditions: FieldConditions) -> Table:
    """Reference magnitude (NaN where the flux is not positive), score and class of sources."""
    band = conditions.reference
    flux = np.asarray(catalog[f"flux_{band}"], dtype=float) / conditions.unit(band)
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude = np.where(flux > 0, conditions.shown_zeropoint(band) - 2.5 * np.log10(flux), np.nan)
    score, kind = np.asarray(catalog["det_score"], dtype=float), np.asarray(catalog["class"]).astype("U8")
    return Table({"mag": magnitude, "det_score": score, "class": kind})


def _on_good_pixels(image: Image, truth: Table) -> NDArray[np.bool_]:
    """Sources whose centre is on a good pixel of the reference band: others cannot be expected to be found."""
    band, (ny, nx) = image.bands[image.reference], image.shape
    x, y = (np.rint(np.asarray(truth[axis])).astype(int) for axis in "xy")
    x, y = np.clip(x, 0, nx - 1), np.clip(y, 0, ny - 1)
    good = np.ones(len(truth), dtype=bool)
    for y0 in range(0, ny, _ROWS):
        rows = np.flatnonzero((y >= y0) & (y < y0 + _ROWS))
        if len(rows):
            bad = band.pixels(Section(0, nx, y0, min(y0 + _ROWS, ny))).bad
            good[rows] = ~bad[y[rows] - y0, x[rows]]
    return good


def _outcome(
    truth: Table, found: SourceCatalog, row: NDArray[np.intp], confused: NDArray[np.bool_], image: Image
) -> Table:
    """Add to the truth as what each source was found."""
    table = truth.copy()
    table["found"], table["confused"] = row >= 0, confused
    table["found_class"] = _taken(np.asarray(found["class"]).astype("U8"), row, "")
    fluxes = [f"{flux}_{band}{error}" for flux in FLUXES for band in image.bands for error in ("", "_err")]
    for name in (*_MEASURED, *fluxes):
        table[f"found_{name}"] = _taken(np.asarray(found[name], dtype=float), row, np.nan)
    table["found_flags"] = _taken(np.asarray(found["flags"], dtype=int), row, -1)
    return table


def _taken(values: NDArray[np.generic], row: NDArray[np.intp], missing: object) -> NDArray[np.generic]:
    if not len(values):
        return np.full(len(row), missing, dtype=values.dtype)
    return np.where(row >= 0, values[row], np.array(missing, dtype=values.dtype))


def _extra(extra: SourceCatalog, truth: Table, base: Baseline, image: Image) -> tuple[Table, float]:
    """New sources, with which of them are beside an injected one, and the share of the field that is beside one."""
    table = _brief(extra, base.conditions)
    table["x"], table["y"] = (np.asarray(extra[axis], dtype=float) for axis in "xy")
    reach = np.maximum(_NEAR_WIDTHS * base.conditions.seeing, _NEAR_RADII * np.asarray(truth["half_light_radius"]))
    gaps = np.hypot(*(np.asarray(table[axis])[:, None] - np.asarray(truth[axis]) for axis in "xy")) * image.pixel_scale
    table["near"] = (gaps < reach).any(axis=1)
    return table, float(min(np.sum(np.pi * reach**2) / 3600 / base.area, 1.0))
