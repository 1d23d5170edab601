"""Positions as people write them: degrees, hours and degrees, the name of an object, a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrogalaxy.config.paths import TABLES
from astrogalaxy.errors import ArchiveError, ConfigError

__all__ = ["Target", "parse_position", "read_positions", "targets_of"]

# Columns that may have the names of the positions, which are text whatever they look like.
_NAMES = ("name", "object", "target", "id")
_TEXTS = {spelt: str for name in _NAMES for spelt in (name, name.upper(), name.capitalize())}


@dataclass(frozen=True)
class Target:
    """A position on the sky.

    Attributes
    ----------
    ra, dec : float
        ICRS, deg.
    name : str
        Letters, digits and ``.+-``: it names files.

    Examples
    --------
    >>> from astrogalaxy.images.archives import Target, parse_position
    >>> parse_position("10.5 41.25") == Target(10.5, 41.25, "J004200.0+411500")
    True
    """

    ra: float
    dec: float
    name: str


def _target(ra: float, dec: float, name: str = "") -> Target:
    if not (0 <= ra < 360.000001 and -90 <= dec <= 90):
        msg = f"{ra:g} {dec:g} is no position: right ascension is 0 to 360, declination -90 to 90 degrees"
        raise ConfigError(msg)
    clean = re.sub(r"[^A-Za-z0-9.+-]", "", name).lstrip(".+-")[:60]
    return Target(float(ra) % 360, float(dec), clean or _iau_name(ra, dec))


def _iau_name(ra: float, dec: float) -> str:
    """Name by position, cut and not rounded, as the IAU wants: J004243.2+411612."""
    tenths = int(ra % 360 / 15 * 36000 + 1e-4) % (24 * 36000)
    seconds = int(abs(dec) * 3600 + 1e-3)  # what is a whole second but for rounding stays one
    hms = f"{tenths // 36000:02d}{tenths // 600 % 60:02d}{tenths % 600 / 10:04.1f}"
    return f"J{hms}{'-' if dec < 0 else '+'}{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def parse_position(text: str) -> Target:
    """Understand one position.

    Parameters
    ----------
    text : str
        ``"10.68 41.27"`` (deg), ``"00:42:44.3 +41:16:09"`` or ``"0h42m44s +41d16m9s"``, or the name of an
        object, which Sesame (CDS) resolves through the network.

    Returns
    -------
    Target
        Its name is the object's, or made of the position.

    Raises
    ------
    ConfigError
        If it is none of these.
    ArchiveError
        If a name cannot be resolved.

    Examples
    --------
    >>> parse_position("10.6847 41.2690")
    Target(ra=10.6847, dec=41.269, name='J004244.3+411608')
    >>> parse_position("00:42:44.33 +41:16:08.4").name
    'J004244.3+411608'
    """
    parts = text.replace(",", " ").split()
    try:
        ra, dec = map(float, parts)
    except ValueError:
        pass
    else:
        return _target(ra, dec)
    if not parts:
        msg = 'a position is empty; give it in degrees, as "10.68 41.27", or the name of an object'
        raise ConfigError(msg)
    if re.match(r"[\d+-]", parts[0]) and re.search(r"[:hmds°]|\d \d", text):
        return _sexagesimal(text)
    return _resolved(text.strip())


def _sexagesimal(text: str) -> Target:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    try:
        position = SkyCoord(text, unit=(u.hourangle, u.deg))
    except (ValueError, u.UnitsError):
        msg = f'{text!r} is no position; give it in degrees, as "10.68 41.27", or as "00:42:44 +41:16:09"'
        raise ConfigError(msg) from None
    return _target(position.ra.deg, position.dec.deg)


def _resolved(name: str) -> Target:
    """Ask Sesame where an object is."""
    from astropy.coordinates import SkyCoord
    from astropy.coordinates.name_resolve import NameResolveError

    try:
        position = SkyCoord.from_name(name)
    except (NameResolveError, OSError, ValueError) as error:
        known = "Unable to find coordinates" in str(error)
        why = "Sesame knows no such object" if known else "names are resolved by Sesame, which cannot be reached"
        msg = f'{name}: {why}; give the position in degrees, as "10.68 41.27"'
        raise ArchiveError(msg) from error
    return _target(position.icrs.ra.deg, position.icrs.dec.deg, name)


def read_positions(path: str | Path) -> list[Target]:
    r"""Read a table of positions.

    Parameters
    ----------
    path : str or Path
        CSV, ECSV, FITS or VOTable with columns ``ra`` and ``dec`` (deg, unless they have a unit; or
        sexagesimal text, then ``ra`` in hours), and ``name`` if there is one.

    Returns
    -------
    list of Target
        In the order of the rows; a row without a name is named after its position.

    Raises
    ------
    ConfigError
        If it is no such table, or empty.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.images.archives import read_positions
    >>> _ = Path("centres.csv").write_text("name,ra,dec\nm31,10.6847,41.269\n", encoding="utf-8")
    >>> read_positions("centres.csv")
    [Target(ra=10.6847, dec=41.269, name='m31')]
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    known = str(path).lower().endswith((".ecsv", ".fits", ".fit", ".vot", ".xml"))
    options = {"format": "ascii.csv" if str(path).lower().endswith(".csv") else "ascii", "converters": _TEXTS}
    try:
        table = Table.read(path) if known else Table.read(path, **options)
    except Exception as error:
        msg = f"{path}: cannot be read as a table (CSV, ECSV, FITS, VOTable) of positions"
        raise ConfigError(msg) from error
    columns = {name.lower(): name for name in table.colnames}
    if not {"ra", "dec"} <= columns.keys() or not len(table):
        msg = f"{path}: needs rows with columns ra and dec; it has {' '.join(', '.join(table.colnames).split())}"
        raise ConfigError(msg)
    ra, dec = table[columns["ra"]], table[columns["dec"]]
    default = u.hourangle if ra.dtype.kind in "US" else u.deg
    try:
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore")  # of what is refused below
            places = SkyCoord(ra, dec, unit=(ra.unit or default, dec.unit or u.deg)).icrs
    except (ValueError, TypeError, u.UnitsError) as error:
        msg = f"{path}: ra and dec are no positions: {' '.join(str(error).split())[:120]}"
        raise ConfigError(msg) from None
    unknown = np.flatnonzero(~np.isfinite(np.ma.filled(places.ra.deg + places.dec.deg, np.nan)))
    if len(unknown):
        msg = f"{path}: row {unknown[0]} (from 0) has no position; leave such rows out"
        raise ConfigError(msg)
    called = next((columns[name] for name in _NAMES if name in columns), None)
    names: Iterable[Any] = table[called] if called else [""] * len(table)
    rows = zip(places.ra.deg, places.dec.deg, names, strict=True)
    return [_target(float(a), float(d), str(name)) for a, d, name in rows]


def targets_of(positions: Iterable[str | Path | Target]) -> list[Target]:
    """Positions, tables of them and names, each target once and each with a name of its own.

    Raises
    ------
    ConfigError, ArchiveError
        As `parse_position` and `read_positions`.
    """
    found: list[Target] = []
    for position in positions:
        if isinstance(position, Target):
            found.append(position)
        elif isinstance(position, Path) or _is_table(position):
            found += read_positions(position)
        else:
            found.append(parse_position(position))
    taken: dict[str, Target] = {}
    for target in found:
        other = taken.setdefault(target.name, target)
        if (other.ra, other.dec) != (target.ra, target.dec):
            # two objects of one name: their positions tell them apart
            named = _target(target.ra, target.dec)
            taken.setdefault(named.name, named)
    if not taken:
        msg = 'no position is given; for example "10.68 41.27", or a table with ra and dec'
        raise ConfigError(msg)
    return list(taken.values())


def _is_table(text: str) -> bool:
    """Whether a text is the path of a table, there or not."""
    if text.lower().endswith(TABLES):
        if not Path(text).is_file():
            msg = f"{text}: no such file"
            raise ConfigError(msg)
        return True
    return False
