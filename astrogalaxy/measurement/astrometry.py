"""Positions against an external catalogue: how far off they are, and their correction where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from astrogalaxy.catalog.crossmatch import sky_positions
from astrogalaxy.catalog.flags import has_flags
from astrogalaxy.catalog.ids import source_ids
from astrogalaxy.errors import ArchiveError, CatalogError, ConfigError
from astrogalaxy.extras import not_installed
from astrogalaxy.gaussian import MEDIAN_ERROR, median_and_scatter
from astrogalaxy.tables import numbers_of, read_table

if TYPE_CHECKING:
    from astrogalaxy.config.survey import AstrometrySection

__all__ = [
    "GAIA",
    "AstrometryCheck",
    "check_field",
    "check_positions",
    "gaia_positions",
    "read_positions",
    "shift_positions",
]

logger = logging.getLogger(__name__)

GAIA = "gaia"
"""Name that stands for Gaia's catalogue in a configuration."""

_RADIUS = 2.0 * u.arcsec
_LEAST_SNR, _LEAST = 10.0, 5
# Column names under which tables hold right ascension and declination.
_RA = ("ra", "ra_icrs", "raj2000", "_raj2000", "radeg", "alpha_j2000")
_DEC = ("dec", "de_icrs", "dec_icrs", "dej2000", "_dej2000", "dedeg", "delta_j2000")
_MOST_GAIA = 20_000
# Epoch of its positions, J2016.0.
_GAIA_MJD = 57388.5


@dataclass(frozen=True)
class AstrometryCheck:
    """Offsets of a field's positions from a reference catalogue, ours minus theirs.

    Attributes
    ----------
    reference : str
        Name of the catalogue.
    matches : int
        Sources that are each other's nearest within 2 arcsec; with fewer than five nothing is told.
    ra, dec : float
        Median offset along right ascension (on the sky) and declination, arcsec.
    ra_err, dec_err : float
        Errors of these medians.
    ra_scatter, dec_scatter : float
        1.4826 times the median absolute deviation of single sources, arcsec.
    """

    reference: str
    matches: int
    ra: float = float("nan")
    dec: float = float("nan")
    ra_err: float = float("nan")
    dec_err: float = float("nan")
    ra_scatter: float = float("nan")
    dec_scatter: float = float("nan")

    @property
    def known(self) -> bool:
        """Whether there were matches enough."""
        return bool(np.isfinite(self.ra) and np.isfinite(self.dec))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: None stands for what is not known."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}


def check_positions(catalog: Table, reference: SkyCoord, *, name: str = "") -> AstrometryCheck:
    """Compare the positions of clear sources with a reference catalogue's.

    Parameters
    ----------
    catalog : Table
        With ``ra``, ``dec``, ``snr`` and ``flags``; not changed.
    reference : SkyCoord
        Positions in any frame, at the epoch of the images.
    name : str, optional
        What to call the reference.

    Returns
    -------
    AstrometryCheck

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.coordinates import SkyCoord
    >>> from astropy.table import Table
    >>> from astrogalaxy.measurement.astrometry import check_positions
    >>> ra, dec = 150 + np.arange(10) / 100, np.full(10, 2.0)
    >>> ours = Table({"ra": ra, "dec": dec + 0.1 / 3600, "snr": np.full(10, 50.0), "flags": np.zeros(10, int)})
    >>> round(check_positions(ours, SkyCoord(ra, dec, unit="deg")).dec, 3)
    0.1
    """
    good = np.isfinite(catalog["ra"]) & (np.nan_to_num(np.asarray(catalog["snr"])) > _LEAST_SNR)
    good &= ~has_flags(np.asarray(catalog["flags"]), "bad_centroid", "saturated", "edge", "blended")
    if not good.any() or not len(reference):
        return AstrometryCheck(name, 0)
    ours = SkyCoord(np.asarray(catalog["ra"])[good], np.asarray(catalog["dec"])[good], unit="deg")
    # a coordinate that was of another frame keeps its equinox: only the numbers are taken
    theirs = SkyCoord(reference.icrs.ra, reference.icrs.dec)
    nearest, separation, _ = ours.match_to_catalog_sky(theirs)
    back, _, _ = theirs.match_to_catalog_sky(ours)
    pair = (separation < _RADIUS) & (back[nearest] == np.arange(len(ours)))
    n = int(pair.sum())
    if n < _LEAST:
        return AstrometryCheck(name, n)
    east, north = (part.to_value(u.arcsec) for part in theirs[nearest[pair]].spherical_offsets_to(ours[pair]))
    (ra, ra_scatter), (dec, dec_scatter) = (median_and_scatter(values) for values in (east, north))
    error = MEDIAN_ERROR / np.sqrt(n)
    return AstrometryCheck(name, n, ra, dec, ra_scatter * error, dec_scatter * error, ra_scatter, dec_scatter)


def shift_positions(catalog: Table, check: AstrometryCheck) -> None:
    """Take the offset of a check out of all positions, in place; ``source_id`` follows them.

    Nothing is changed where the check told nothing.
    """
    if not check.known:
        return
    ours = SkyCoord(np.asarray(catalog["ra"], float), np.asarray(catalog["dec"], float), unit="deg")
    right = ours.spherical_offsets_by(-check.ra * u.arcsec, -check.dec * u.arcsec)
    catalog["ra"][:], catalog["dec"][:] = right.ra.deg % 360.0, right.dec.deg
    catalog["source_id"][:] = source_ids(catalog["ra"], catalog["dec"])


def read_positions(path: str | Path) -> SkyCoord:
    """Positions out of a table in any format that astropy reads: ICRS, in degrees or the columns' units.

    Raises
    ------
    ConfigError
        If it cannot be read, or has no such columns.
    """
    table = read_table(path)
    names = {name.lower(): name for name in table.colnames}
    ra, dec = (next((names[n] for n in known if n in names), None) for known in (_RA, _DEC))
    if ra is None or dec is None:
        msg = f"{path}: no columns ra and dec among {', '.join(table.colnames[:10])}; it needs both, in degrees"
        raise ConfigError(msg)
    try:
        sky = sky_positions(Table([table[ra], table[dec]], names=["ra", "dec"]), str(path))
    except CatalogError as error:
        raise ConfigError(str(error)) from None
    return sky[np.isfinite(sky.ra) & np.isfinite(sky.dec)]


def check_field(
    catalog: Table,
    settings: AstrometrySection,
    *,
    mjd: float | None = None,
    read: Callable[[str], SkyCoord] | None = None,
) -> dict[str, Any] | None:
    """Check a field's positions against an external catalogue, and correct them, in place, if ``settings`` say so.

    Parameters
    ----------
    catalog : Table
        See `check_positions`.
    settings : AstrometrySection
        What to check them against.
    mjd : float, optional
        See `gaia_positions`.
    read : callable, optional
        `read_positions`, or what remembers its tables from field to field.

    Returns
    -------
    dict or None
        The offsets, for the record; None if no check is wanted. If the check failed, as where an archive does not
        answer, ``error`` says why.
    """
    if settings.check is None:
        return None
    try:
        if settings.check == GAIA:
            reference = gaia_positions(catalog, mjd=mjd)
        else:
            reference = (read or read_positions)(settings.check)
    except (ArchiveError, ConfigError) as error:  # a table could be read when the run began
        kept = "; positions are not corrected" if settings.apply else ""
        return {"reference": settings.check, "error": f"astrometry.check: {error}{kept}"}
    check = check_positions(catalog, reference, name=settings.check)
    logger.info(
        "positions minus %s: %.3f +- %.3f arcsec in ra, %.3f +- %.3f in dec, %d matches",
        check.reference, check.ra, check.ra_err, check.dec, check.dec_err, check.matches,
    )  # fmt: skip
    if settings.apply:
        shift_positions(catalog, check)
    return {**check.to_dict(), "applied": settings.apply and check.known}


def gaia_positions(catalog: Table, *, mjd: float | None = None) -> SkyCoord:
    """Gaia DR3 positions over the area of a catalogue, of the brightest stars, through astroquery.

    Parameters
    ----------
    catalog : Table
        With ``ra`` and ``dec``, degrees.
    mjd : float, optional
        Modified Julian date to which proper motions take the stars, those that have one; by default the positions are
        those of Gaia's epoch, 2016.0.

    Returns
    -------
    SkyCoord
        Empty where Gaia has none.

    Raises
    ------
    ArchiveError
        If astroquery is not installed, or the archive does not answer.
    """
    problem = not_installed("gaia", ["astroquery"], "archives")
    if problem:
        raise ArchiveError(problem)
    from astroquery.gaia import Gaia

    known = np.isfinite(catalog["ra"])
    ours = SkyCoord(np.asarray(catalog["ra"])[known], np.asarray(catalog["dec"])[known], unit="deg")
    if not len(ours):
        return ours
    centre = SkyCoord(ours.cartesian.mean(), representation_type="unitspherical").spherical
    middle = SkyCoord(centre.lon, centre.lat)
    radius = ours.separation(middle).max().deg
    query = (
        f"SELECT TOP {_MOST_GAIA} ra, dec, pmra, pmdec FROM gaiadr3.gaia_source WHERE "  # noqa: S608 (numbers only)
        f"1 = CONTAINS(POINT(ra, dec), CIRCLE({middle.ra.deg:.6f}, {middle.dec.deg:.6f}, {radius:.6f})) "
        "ORDER BY phot_g_mean_mag"
    )
    try:
        rows = Gaia.launch_job(query).get_results()
    except Exception as error:  # noqa: BLE001 (astroquery passes on whatever the network raises)
        msg = f"Gaia's archive did not answer ({error})"
        raise ArchiveError(msg) from None
    theirs = SkyCoord(np.asarray(rows["ra"], float), np.asarray(rows["dec"], float), unit="deg")
    if mjd is None:
        return theirs
    years = (mjd - _GAIA_MJD) / 365.25
    motion = (years * np.nan_to_num(numbers_of(rows, name)) * u.mas for name in ("pmra", "pmdec"))
    return theirs.spherical_offsets_by(*motion)
