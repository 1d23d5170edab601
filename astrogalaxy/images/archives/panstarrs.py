"""Pan-STARRS1: stacks of skycells from MAST, made linear, with their zero point, cut to what is wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrogalaxy.images.archives.archive import Archive, NoImageError, Remote, asked
from astrogalaxy.images.inputs import from_asinh

if TYPE_CHECKING:
    from astropy.io import fits

    from astrogalaxy.images.archives.targets import Target

__all__ = ["PanStarrs", "linear"]

_STACK = re.compile(r"rings\.v3\.skycell\.(\d{4}\.\d{3})\.stk\.([grizy])\.unconv\.fits")
_OLD_SCALE = ("BOFFSET", "BSOFTEN", "BLANK", "BSCALE", "BZERO", "CHECKSUM", "DATASUM")


class PanStarrs(Archive):
    """Pan-STARRS1 3pi survey at MAST."""

    name = "panstarrs"
    title = "MAST (Pan-STARRS1)"
    bands = {band: band for band in "grizy"}  # noqa: RUF012
    default_bands = ("g", "r", "i")
    pattern = "panstarrs-{field}-{band}.fits"
    zeropoint = "MAGZERO"
    note = (
        "Stacks of 0.25 arcsec pixels, cut to the square that was asked for; {field} is the position and the "
        "skycell. Their asinh scale is undone, and MAGZERO in the header is 25 + 2.5 log10(EXPTIME)."
    )
    docs = "https://outerspace.stsci.edu/display/PANSTARRS/"

    def find(self, target: Target, size: float, bands: Sequence[str]) -> list[Remote]:
        """Stacks whose skycell touches the square."""
        from astropy import units as u
        from astropy.coordinates import SkyCoord
        from astroquery.mast import Observations

        centre = SkyCoord(target.ra, target.dec, unit="deg")
        with asked(self.title):
            observations = Observations.query_criteria(
                coordinates=centre, radius=size / np.sqrt(2) * u.arcsec,  # as far as the corners
                obs_collection="PS1", dataproduct_type="image", filters=list(bands),
            )  # fmt: skip
            if not len(observations):
                return []
            products = Observations.get_product_list(observations)
        uris = {str(row["productFilename"]): str(row["dataURI"]) for row in products}
        server = Observations._portal_api_connection.MAST_DOWNLOAD_URL  # noqa: SLF001 (no public name)
        found = []
        for name, uri in sorted(uris.items()):
            match = _STACK.fullmatch(name)
            if match is not None and match[2] in bands:
                field = f"{target.name}-{match[1]}"
                found.append(Remote(match[2], field, f"{server}?uri={uri}", uri, target, size))
        return found

    def kept_key(self, remote: Remote) -> str:
        """The stack, and the square that is cut out of it."""
        return f"{remote.key} {remote.target.ra:.6f} {remote.target.dec:.6f} {remote.size:g}"

    def finish(self, raw: Path, remote: Remote) -> fits.HDUList | None:
        """A linear image of the square, or of what the skycell has of it."""
        from astropy.io import fits

        with fits.open(raw) as hdus:
            hdu = next(hdu for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2)
            return fits.HDUList([_cut(linear(hdu.data, hdu.header), remote)])


def linear(data: Any, header: Any) -> fits.PrimaryHDU:
    """A stack with pixels linear in flux, a WCS in today's keywords, and its zero point as MAGZERO.

    Parameters
    ----------
    data : array
        Pixels as they are in the archive, on an asinh scale if the header has BSOFTEN.
    header : astropy.io.fits.Header
        Of these pixels; not modified.

    Returns
    -------
    astropy.io.fits.PrimaryHDU
        Pixels are float32.

    Notes
    -----
    See `~astrogalaxy.images.inputs.linear_plane`.

    Examples
    --------
    >>> from astropy.io import fits
    >>> header = fits.Header({"BSOFTEN": 2.0, "BOFFSET": 1.0, "EXPTIME": 100.0})
    >>> hdu = linear(np.zeros((2, 2)), header)
    >>> float(hdu.data[0, 0]), hdu.header["MAGZERO"]
    (1.0, 30.0)
    """
    from astropy.io import fits

    header, data = header.copy(), np.asarray(data, dtype=float)
    if "BSOFTEN" in header:
        data = from_asinh(header["BOFFSET"], header["BSOFTEN"], None, data)
    for axis in "12":
        for other in "12":
            if f"PC00{axis}00{other}" in header:
                header.rename_keyword(f"PC00{axis}00{other}", f"PC{axis}_{other}")
    for key in _OLD_SCALE:
        header.remove(key, ignore_missing=True)
    header["RADESYS"] = "FK5"
    header["MAGZERO"] = (float(25 + 2.5 * np.log10(header["EXPTIME"])), "AB magnitude of one image unit")
    return fits.PrimaryHDU(data.astype("float32"), header)


def _cut(hdu: fits.PrimaryHDU, remote: Remote) -> fits.PrimaryHDU:
    """The part of an image that was asked for; the whole image if that is larger."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.nddata import Cutout2D
    from astropy.nddata.utils import NoOverlapError
    from astropy.wcs import WCS

    wcs = WCS(hdu.header)
    centre = SkyCoord(remote.target.ra, remote.target.dec, unit="deg")
    try:
        part = Cutout2D(hdu.data, centre, remote.size * u.arcsec, wcs=wcs, mode="trim", copy=True)
    except NoOverlapError:
        raise NoImageError(f"skycell of {remote.field} has no pixel in the square") from None
    hdu.data = part.data
    hdu.header.update(part.wcs.to_header())
    return hdu
