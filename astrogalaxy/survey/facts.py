"""A finished survey in numbers: counts, seeing and depth of all of it and of each field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog, has_flags
from astrogalaxy.measurement.photometry import AB_NANOJANSKY
from astrogalaxy.measurement.seeing import DISTURBED

__all__ = [
    "Depth",
    "FieldFacts",
    "Seeing",
    "class_counts",
    "depth",
    "field_facts",
    "field_rows",
    "seeing",
    "values",
    "whole_field",
]

#: A star is good enough to measure the seeing: surely a star, bright, alone, whole and not saturated.
SURE_STAR, BRIGHT_SNR = 0.9, 50.0
_FEWEST_STARS = 3
# In apertures below this signal to noise, the sky alone makes the error.
_FAINT_SNR = 20.0
_FEWEST_FAINT = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seeing:
    """Sharpness of a field: median FWHM of its good stars, arcsec, and how far down and up most of them scatter."""

    median: float
    low: float
    high: float
    n_stars: int

    @property
    def spread(self) -> float:
        """Half of the range that holds the middle 68 % of the stars."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Depth:
    """Five times the noise in the fixed aperture: an AB magnitude, or a flux where not calibrated."""

    value: float
    is_magnitude: bool


@dataclass(frozen=True)
class FieldFacts:
    """One field in numbers.

    Attributes
    ----------
    name, status, bands, shape, pixel_scale
        As in the run's record; shape (0, 0) and scale NaN where unknown.
    rows : ndarray of int
        Rows of the given catalogue, which may be a sample.
    centre : tuple of float
        Right ascension and declination of the middle of the reference image, degrees; NaN where unknown.
    sources : int
        Rows of the catalogue that are of the field.
    counts : dict of str to int
        Those of `rows` by class, and ``sources``.
    seeing : Seeing or None
        That of the record; None with too few good stars.
    depth : dict of str to Depth
        That of the record by band, where there is one.
    area : float
        Square arcsec of sky that was searched; NaN without pixel scale.
    tiles : tuple of int
        Tiles that were done, and all.
    inputs : mapping
        The files by band, as in the run's record.
    psfs : tuple of str
        Bands whose point spread was given.
    headers, measured : mapping
        As in the run's record.
    """

    name: str
    status: str
    bands: tuple[str, ...]
    shape: tuple[int, int]
    pixel_scale: float
    rows: NDArray[np.intp]
    centre: tuple[float, float]
    sources: int
    counts: dict[str, int]
    seeing: Seeing | None
    depth: dict[str, Depth]
    area: float
    tiles: tuple[int, int]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    psfs: tuple[str, ...] = ()
    headers: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shifts(self) -> dict[str, tuple[float, float]]:
        """Pixels along x and y by which the WCS of bands was shifted onto the stars of the reference; if it was."""
        return self.measured.get("shifts") or {}

    @property
    def uncorrected(self) -> dict[str, list[str]]:
        """By flux of points, bands in which it is NaN though the field has stars."""
        return self.measured.get("uncorrected") or {}


def values(catalog: SourceCatalog, name: str) -> Floats:
    """A numeric column as float64; NaN throughout where the catalogue does not have it."""
    if name not in catalog.colnames:
        return np.full(len(catalog), np.nan)
    return np.asarray(catalog[name], dtype=np.float64)


def field_rows(catalog: SourceCatalog) -> dict[str, NDArray[np.intp]]:
    """Rows of each field, by its name.

    Only names that differ from the one before are sorted: most catalogues go field by field, and to sort millions of
    strings takes long.
    """
    names = np.asarray(catalog["field"])
    if not len(names):
        return {}
    starts = np.concatenate([[0], np.flatnonzero(names[1:] != names[:-1]) + 1])
    found, which = np.unique(names[starts], return_inverse=True)
    of_row = np.repeat(which, np.diff(starts, append=len(names)))
    rows = np.split(np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row))[:-1])
    return dict(zip(found.tolist(), rows, strict=True))


def class_counts(catalog: SourceCatalog) -> dict[str, int]:
    """How many sources there are, and of which class."""
    kind = np.asarray(catalog["class"])
    counts = {"sources": len(catalog)}
    for name, plural in (("star", "stars"), ("galaxy", "galaxies"), ("unsure", "unsure")):
        counts[plural] = int(np.count_nonzero(kind == name))
    return counts


def seeing(catalog: SourceCatalog) -> Seeing | None:
    """Measure the seeing on stars that are sure, bright, alone and not saturated.

    Parameters
    ----------
    catalog : SourceCatalog
        One field. Sources whose FWHM is NaN do not count.

    Returns
    -------
    Seeing or None
        None if fewer than three stars are good enough.
    """
    fwhm, snr = values(catalog, "fwhm"), values(catalog, "snr")
    with np.errstate(invalid="ignore"):
        good = (fwhm > 0) & np.isfinite(fwhm) & (values(catalog, "p_star") >= SURE_STAR)
        good &= ~has_flags(catalog["flags"], *DISTURBED)
        # shallow images may have no star of the wanted brightness
        for lowest in (BRIGHT_SNR, BRIGHT_SNR / 2):
            chosen = fwhm[good & (snr >= lowest)]
            if len(chosen) >= _FEWEST_STARS:
                low, median, high = np.percentile(chosen, [16, 50, 84])
                return Seeing(float(median), float(low), float(high), len(chosen))
    return None


def depth(catalog: SourceCatalog, band: str) -> Depth | None:
    """Measure the depth of a band from the errors of the fixed aperture's fluxes.

    Parameters
    ----------
    catalog : SourceCatalog
        One field.
    band : str
        Its name.

    Returns
    -------
    Depth or None
        Five times the median error of sources too faint to add noise of their own; of all
        sources where few are faint. None if no source has an error.
    """
    error = values(catalog, f"flux_aper_{band}_err")
    flux = values(catalog, f"flux_aper_{band}")
    with np.errstate(invalid="ignore"):
        good = np.isfinite(error) & (error > 0) & ~has_flags(catalog["flags"], "edge", "saturated", "masked")
        faint = good & (flux < _FAINT_SNR * error)
    chosen = error[faint if np.count_nonzero(faint) >= _FEWEST_FAINT else good]
    if not len(chosen):
        return None
    limit = 5 * float(np.median(chosen))
    if band in catalog.calibrated:
        return Depth(float(AB_NANOJANSKY - 2.5 * np.log10(limit)), True)
    return Depth(limit, False)


def whole_field(catalog: SourceCatalog, bands: Iterable[str], stars: Mapping[str, Any]) -> dict[str, Any]:
    """Seeing and depth of a field, for the run's record.

    They are of all its sources: where fields overlap, the catalogue of the run has only some of them, or none.

    Parameters
    ----------
    catalog : SourceCatalog
        All sources of one field.
    bands : iterable of str
        Its bands.
    stars : mapping
        What its stars tell of it; with too few of them for a seeing, that of fewer is taken.

    Returns
    -------
    dict
        ``stars`` with the seeing, where there is one, and the depth by band.
    """
    found = {band: asdict(limit) for band in bands if (limit := depth(catalog, band)) is not None}
    if stars.get("seeing") is None and (sharp := seeing(catalog)) is not None:
        stars = {**stars, "seeing": sharp.median, "seeing_spread": sharp.spread, "stars": sharp.n_stars}
    return {**stars, "depth": found}


def field_facts(run: Mapping[str, Any], catalog: SourceCatalog) -> list[FieldFacts]:
    """Numbers of every field of a run, in its order.

    Parameters
    ----------
    run : mapping
        The run's record.
    catalog : SourceCatalog
        All its sources.

    Returns
    -------
    list of FieldFacts
    """
    rows = field_rows(catalog)
    tiles: dict[str, list[Mapping[str, Any]]] = {}
    for tile in run.get("tiles") or ():
        tiles.setdefault(str(tile.get("field")), []).append(tile)
    nothing = np.zeros(0, dtype=np.intp)
    return [
        _field(record, catalog, rows.get(str(record["name"]), nothing), tiles.get(str(record["name"]), []))
        for record in run.get("fields") or ()
    ]


def _field(
    record: Mapping[str, Any], catalog: SourceCatalog, rows: NDArray[np.intp], tiles: list[Mapping[str, Any]]
) -> FieldFacts:
    bands = tuple(str(band) for band in record.get("bands") or ())
    measured = record.get("measured") or {}
    depths = measured.get("depth") or {}
    ra, dec = record.get("centre") or (np.nan, np.nan)
    ny, nx = record.get("shape") or (0, 0)
    scale = record.get("pixel_scale")
    scale = float("nan") if scale is None else float(scale)
    return FieldFacts(
        name=str(record["name"]),
        status=str(record.get("status", "")),
        bands=bands,
        shape=(int(ny), int(nx)),
        pixel_scale=scale,
        rows=rows,
        centre=(float(ra), float(dec)),
        sources=int(record.get("sources", len(rows))),
        counts=class_counts(catalog[rows]),
        seeing=_seeing(measured),
        depth={band: Depth(**depths[band]) for band in bands if band in depths},
        area=_pixels_done(record, tiles) * scale**2,
        tiles=(sum(tile.get("status") in ("done", "kept") for tile in tiles), len(tiles)),
        inputs=record.get("inputs") or {},
        psfs=tuple(band for band in bands if band in (record.get("psfs") or ())),
        headers=record.get("headers") or {},
        measured=measured,
    )


def _seeing(measured: Mapping[str, Any]) -> Seeing | None:
    if measured.get("seeing") is None:
        return None
    median, spread = float(measured["seeing"]), float(measured.get("seeing_spread") or 0.0)
    return Seeing(median, median - spread, median + spread, int(measured.get("stars") or 0))


def _pixels_done(record: Mapping[str, Any], tiles: list[Mapping[str, Any]]) -> float:
    """Pixels of a field that were searched."""
    ny, nx = record.get("shape") or (0, 0)
    if not tiles:
        return float(ny * nx) if record.get("status") == "done" else 0.0
    done = sum(float(tile.get("pixels") or 0) for tile in tiles if tile.get("status") in ("done", "kept"))
    return min(done, float(ny * nx))
