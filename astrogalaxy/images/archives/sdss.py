"""SDSS: calibrated frames of DR17, whole, in nanomaggies."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians
from typing import TYPE_CHECKING

from astrogalaxy.errors import ArchiveError
from astrogalaxy.images.archives.archive import Archive, Remote, asked

if TYPE_CHECKING:
    from astrogalaxy.images.archives.targets import Target

__all__ = ["Sdss"]

_RELEASE = 17
_COLUMNS = ("run", "rerun", "camcol", "field")


class Sdss(Archive):
    """Sloan Digital Sky Survey, data release 17."""

    name = "sdss"
    title = "SDSS"
    bands = {band: band for band in "ugriz"}  # noqa: RUF012 (constant)
    default_bands = ("g", "r", "i")
    pattern = "frame-{band}-{field}.fits.bz2"
    zeropoint = 22.5
    hdu = 0
    note = (
        "Whole frames of 2048 x 1489 pixels of 0.396 arcsec, sky subtracted, in nanomaggies; "
        "{field} is run-camcol-field."
    )
    docs = "https://www.sdss4.org/dr17/imaging/"

    def find(self, target: Target, size: float, bands: Sequence[str]) -> list[Remote]:
        """Frames with primary objects in the square; a square within one frame gives one frame."""
        from astroquery.sdss import SDSS, conf

        with asked(self.title):
            table = SDSS.query_sql(_query(target, size), data_release=_RELEASE, cache=False)
        if table is None:
            return []
        if not set(_COLUMNS) <= set(table.colnames):
            msg = f"{self.title} answered with something else than a list of frames"
            raise ArchiveError(msg)
        found = []
        for row in table:
            run, rerun, camcol, field = (int(row[name]) for name in _COLUMNS)
            for band in bands:
                url = SDSS.IMAGING_URL_SUFFIX.format(
                    base=conf.sas_baseurl, dr=_RELEASE, instrument="eboss",
                    rerun=rerun, run=run, camcol=camcol, field=field, band=band,
                )  # fmt: skip
                key = f"sdss/dr{_RELEASE}/{rerun}/{run}/{camcol}/{field}/{band}"
                found.append(Remote(band, f"{run:06d}-{camcol}-{field:04d}", url, key, target, size))
        return found


def _query(target: Target, size: float) -> str:
    """SQL for the frames that primary objects of the square were found in."""
    half = max(size / 2, 30.0) / 3600  # smaller squares may hold no object
    low, high = max(target.dec - half, -90.0), min(target.dec + half, 90.0)
    wide = half / max(cos(radians(max(abs(low), abs(high)))), 1e-3)
    left, right = (target.ra - wide) % 360, (target.ra + wide) % 360
    ra = f"p.ra BETWEEN {left:.6f} AND {right:.6f}" if left <= right else f"(p.ra >= {left:.6f} OR p.ra <= {right:.6f})"
    columns = ", ".join(f"p.{name}" for name in _COLUMNS)
    where = f"{ra} AND p.dec BETWEEN {low:.6f} AND {high:.6f}"
    return f"SELECT {columns}, COUNT(*) AS n FROM PhotoPrimary AS p WHERE {where} GROUP BY {columns}"  # noqa: S608 (numbers only)
