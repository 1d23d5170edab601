"""Cutouts of any survey that CDS keeps as HiPS, resampled by its service hips2fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from astrogalaxy.images.archives.archive import RESAMPLED, Archive, Remote, asked

if TYPE_CHECKING:
    from astrogalaxy.images.archives.targets import Target

__all__ = ["Hips2fits"]

_PS1, _LEGACY = "CDS/P/PanSTARRS/DR1/", "CDS/P/DESI-Legacy-Surveys/DR10/"
# Arcsec per pixel, near those of the surveys; 1 for all others.
_SCALES = {_PS1: 0.25, _LEGACY: 0.262}


class Hips2fits(Archive):
    """CDS's hips2fits service."""

    name = "hips2fits"
    title = "hips2fits (CDS)"
    bands = {  # noqa: RUF012
        "dss2_blue": "CDS/P/DSS2/blue",
        "g": _PS1 + "g",
        "legacy_g": _LEGACY + "g",
        "r": _PS1 + "r",
        "legacy_r": _LEGACY + "r",
        "dss2_red": "CDS/P/DSS2/red",
        "i": _PS1 + "i",
        "legacy_i": _LEGACY + "i",
        "z": _PS1 + "z",
        "legacy_z": _LEGACY + "z",
        "y": _PS1 + "y",
        "J": "CDS/P/2MASS/J",
        "H": "CDS/P/2MASS/H",
        "K": "CDS/P/2MASS/K",
    }
    default_bands = ("g", "r", "i")
    pattern = "hips-{field}-{band}.fits"
    largest = 1800.0
    note = f"Resampled from HiPS tiles, {RESAMPLED}"
    docs = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"

    def find(self, target: Target, size: float, bands: Sequence[str]) -> list[Remote]:
        """One cutout per band, on one grid."""
        from astropy import units as u
        from astropy.coordinates import Angle, Latitude, Longitude
        from astroquery.hips2fits import hips2fits

        scale = min(_SCALES.get(self.bands[band].rpartition("/")[0] + "/", 1.0) for band in bands)
        pixels = round(size / scale)
        found = []
        for band in bands:
            with asked(self.title):
                query = hips2fits.query(
                    self.bands[band], pixels, pixels, "TAN", Longitude(target.ra * u.deg),
                    Latitude(target.dec * u.deg), Angle(size * u.arcsec), get_query_payload=True,
                )  # fmt: skip
            address = urlencode(query)
            found.append(Remote(band, target.name, f"{hips2fits.server}?{address}", address, target, size))
        return found
