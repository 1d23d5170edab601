"""Sources as regions of DS9, to be laid over an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
from astropy.table import Table

from astrogalaxy.catalog.io.cells import floats
from astrogalaxy.catalog.io.meta import plain_meta, printable
from astrogalaxy.catalog.io.rows import Block, Rows
from astrogalaxy.errors import CatalogError

__all__ = ["COLOURS", "COLUMNS", "write"]

COLOURS = {"star": "cyan", "galaxy": "red", "unsure": "yellow"}
"""Colour of each class."""

COLUMNS = ("ra", "dec", "class", "a", "b", "theta", "fwhm")
"""What regions are made of, as far as it is there; no other column is looked at."""

# Radii in units of the light's rms along the axes: where a galaxy ends for the eye.
_RADII = 3.0
# Radius in arcsec of the circle for a source without a size.
_UNKNOWN = 2.0


def write(rows: Rows, stream: IO[bytes]) -> None:
    """Write DS9 regions, a line for each source, with no more than a block of them in memory.

    A star is a circle with its FWHM as radius, cyan; a galaxy an ellipse of three times the rms of
    its light along the axes, red; whatever else is yellow. The class is also the region's tag. Sources without
    a position are left out; if all are, that is an error. Provenance is in comments.
    """
    for name in ("ra", "dec"):
        if name not in rows.head.colnames:
            msg = f"the catalogue has no column {name!r}, which regions need"
            raise CatalogError(msg)
    stream.write(("\n".join(_opening(rows.head)) + "\n").encode("utf-8"))
    some = False
    for block in rows.blocks([name for name in COLUMNS if name in rows.head.colnames]):
        lines = "".join(_lines(block))
        some |= bool(lines)
        stream.write(lines.encode("ascii"))
    if len(rows) and not some:
        msg = f"none of the {len(rows)} sources has a position on the sky, which regions need: their images have no WCS"
        raise CatalogError(msg)


def _opening(head: Table) -> Iterator[str]:
    yield "# Region file format: DS9 version 4.1"
    for key, value in plain_meta(head.meta).items():
        yield printable(f"# {key}: {value}")
    yield "global color=yellow width=1 select=1 highlite=1 edit=0 move=0 delete=1 include=1 source=1"
    yield "icrs"


def _lines(block: Block) -> Iterator[str]:
    n_rows = len(block["ra"])
    unknown = np.full(n_rows, np.nan)
    kinds = block.get("class", np.full(n_rows, "unsure"))
    ra, dec = floats(block["ra"]), floats(block["dec"])
    a, b, theta, fwhm = (floats(block.get(name, unknown)) for name in ("a", "b", "theta", "fwhm"))
    elongated = (kinds != "star") & np.isfinite(a) & np.isfinite(b) & np.isfinite(theta) & (a > 0) & (b > 0)
    radius = np.where(np.isfinite(fwhm) & (fwhm > 0), fwhm, _UNKNOWN)
    # DS9 counts the angle of the first axis from west; we from north. Both turn to the east.
    columns = (ra, dec, kinds, elongated, _RADII * a, _RADII * b, theta + 90.0, radius)
    for ra, dec, kind, is_ellipse, major, minor, angle, circle in zip(*(c.tolist() for c in columns), strict=True):
        if not (np.isfinite(ra) and np.isfinite(dec)):
            continue
        shape = f'{major:.3f}",{minor:.3f}",{angle % 360:.2f}' if is_ellipse else f'{circle:.3f}"'
        name = "ellipse" if is_ellipse else "circle"
        known = kind if kind in COLOURS else "unsure"
        yield f"{name}({ra:.7f},{dec:.7f},{shape}) # color={COLOURS[known]} tag={{{known}}}\n"
