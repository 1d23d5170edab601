"""The part of the sky that was searched, as a MOC (multi-order coverage map)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike

from astrogalaxy.catalog.directions import directions
from astrogalaxy.catalog.io.fits import add_provenance
from astrogalaxy.catalog.io.target import Target, open_target
from astrogalaxy.errors import CatalogError
from astrogalaxy.formats import FORMATS

if TYPE_CHECKING:
    from mocpy import MOC

__all__ = ["covered_area", "no_area", "write_moc"]

# A HEALPix cell of this order is 3.2 arcsec wide; smaller ones would describe single pixels.
_FINEST = 16


def covered_area(polygons: Iterable[ArrayLike]) -> MOC:
    """The union of polygons on the sky.

    Parameters
    ----------
    polygons : iterable of array_like
        Each ``(n, 2)``: right ascension and declination (ICRS, degrees) of the corners in their order, along
        great circles, smaller than half of the sky.

    Returns
    -------
    mocpy.MOC
        Every cell that a polygon touches. Cells are 1/128 of the typical polygon (the median) or less, but not
        smaller than 3 arcsec.

    Raises
    ------
    CatalogError
        If there is no polygon.
    MissingExtraError
        If mocpy is not installed.

    Examples
    --------
    >>> from astrogalaxy.catalog import covered_area
    >>> square = [(10.0, 20.0), (11.0, 20.0), (11.0, 21.0), (10.0, 21.0)]
    >>> area = covered_area([square])
    >>> round(area.sky_fraction * 41253, 1)  # square degrees
    1.0
    """
    FORMATS["moc"].need()
    from astropy.coordinates import SkyCoord
    from mocpy import MOC

    corners = [np.asarray(polygon, dtype=float) for polygon in polygons]
    if not corners:
        msg = "there is no area to cover: no polygon was given"
        raise CatalogError(msg)
    # of the typical one: a sliver at an edge would cut all of the sky into its cells
    typical = float(np.median([_extent(polygon) for polygon in corners]))
    # A cell of order n is 58.6 degrees / 2**n wide.
    order = int(np.clip(np.ceil(np.log2(58.6 * 128 / max(typical, 1e-9))), 4, _FINEST))
    skies = [SkyCoord(polygon[:, 0], polygon[:, 1], unit="deg", frame="icrs") for polygon in corners]
    parts = MOC.from_polygons(skies, max_depth=order, n_threads=1)
    return parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]


def _extent(polygon: np.ndarray) -> float:
    """Degrees from one end of a polygon to the other."""
    return float(np.degrees(np.linalg.norm(np.ptp(directions(*polygon.T), axis=0))))


def write_moc(
    area: MOC,
    target: Target,
    *,
    meta: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a MOC as FITS, with provenance in its headers.

    Parameters
    ----------
    area : mocpy.MOC
        See `covered_area`.
    target : path-like or binary file
        The file appears whole or not at all.
    meta : mapping, optional
        Provenance, as in a catalogue's ``meta``.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    CatalogError
        If a meta value cannot be held by the format.
    FileExistsError
        If the file exists and ``overwrite`` is false.
    RunError
        If the folder or the disk does not take the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.catalog import covered_area, write_moc
    >>> area = covered_area([[(10.0, 20.0), (10.1, 20.0), (10.1, 20.1), (10.0, 20.1)]])
    >>> write_moc(area, "searched.moc.fits", meta={"SURVEY": "m31"})
    >>> Path("searched.moc.fits").stat().st_size > 0
    True
    """
    hdus = area.serialize(format="fits")
    add_provenance(hdus[1].header, meta or {})
    for part in hdus:
        part.add_checksum(when="as written")
    stream = BytesIO()
    hdus.writeto(stream)
    with open_target(target, overwrite=overwrite) as file:
        file.write(stream.getvalue())


def no_area(catalog: Table, *_args: Any, **_options: Any) -> NoReturn:
    """Refuse to write a catalogue as a MOC."""
    msg = (
        f"a MOC holds the area that was searched, which a catalogue of {len(catalog)} sources does not know; a run "
        "writes it with output.formats: [moc], and astrogalaxy.catalog.write_moc from footprints"
    )
    raise CatalogError(msg)
