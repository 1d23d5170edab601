"""SkyView: cutouts of many surveys on one pixel grid, resampled by the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from astrogalaxy.errors import ArchiveError
from astrogalaxy.images.archives.archive import RESAMPLED, Archive, Remote, asked

if TYPE_CHECKING:
    from astrogalaxy.images.archives.targets import Target

__all__ = ["SkyView"]

# Arcsec per pixel, near those of the surveys.
_SDSS_SCALE, _SCALE = 0.4, 1.0


class SkyView(Archive):
    """NASA's SkyView virtual telescope."""

    name = "skyview"
    title = "SkyView"
    bands = {  # noqa: RUF012
        "u": "SDSSu",
        "dss2_blue": "DSS2 Blue",
        "g": "SDSSg",
        "r": "SDSSr",
        "dss2_red": "DSS2 Red",
        "i": "SDSSi",
        "dss2_ir": "DSS2 IR",
        "z": "SDSSz",
        "J": "2MASS-J",
        "H": "2MASS-H",
        "K": "2MASS-K",
    }
    default_bands = ("dss2_blue", "dss2_red", "dss2_ir")
    pattern = "skyview-{field}-{band}.fits"
    largest = 2400.0
    note = f"Resampled by SkyView, {RESAMPLED}"
    docs = "https://skyview.gsfc.nasa.gov/current/help/fields.html"

    def find(self, target: Target, size: float, bands: Sequence[str]) -> list[Remote]:
        """One cutout per band; SkyView makes them when it is asked."""
        from astropy import units as u
        from astropy.coordinates import SkyCoord
        from astroquery.skyview import SkyView as Service

        found = []
        for band in bands:
            survey = self.bands[band]
            pixels = round(size / (_SDSS_SCALE if "SDSS" in survey else _SCALE))
            with asked(self.title):
                urls = Service.get_image_list(
                    position=SkyCoord(target.ra, target.dec, unit="deg"), survey=[survey],
                    width=size * u.arcsec, height=size * u.arcsec, pixels=str(pixels), cache=False,
                )  # fmt: skip
            if not urls:
                msg = f"{self.title} made no image of {survey} at {target.ra:.4f} {target.dec:.4f}"
                raise ArchiveError(msg)
            key = f"skyview/{survey}/{target.ra:.6f}/{target.dec:.6f}/{size:g}/{pixels}"
            found.append(Remote(band, target.name, urls[0], key, target, size))
        return found
