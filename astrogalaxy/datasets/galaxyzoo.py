"""Galaxy Zoo 2: colour cutouts of single galaxies with the votes of volunteers.

Willett et al. (2013), Hart et al. (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.errors import ImageError

__all__ = ["GalaxyCutout", "cutout_light", "read_galaxy_zoo2"]

_SMOOTH = "t01_smooth_or_features_a01_smooth_weighted_fraction"
_DISK = "t01_smooth_or_features_a02_features_or_disk_weighted_fraction"
# The stretch of the SDSS colour images (Lupton et al. 2004).
_SOFTENING = 8.0
# Pixels around the galaxy's segment that still hold its light.
_HALO = 12


@dataclass(frozen=True)
class GalaxyCutout:
    """One cutout: where it lies and what the volunteers said.

    Attributes
    ----------
    name : str
        Object id.
    path : Path
        The image.
    p_disk : float
        Votes for "features or disk" over those and "smooth".
    """

    name: str
    path: Path
    p_disk: float


def read_galaxy_zoo2(folder: str | Path) -> list[GalaxyCutout]:
    """Read the vote table of a folder with ``labels.csv`` and ``images/``.

    Galaxies whose volunteers saw a merger are left out: they are neither smooth nor disk.

    Raises
    ------
    ImageError
        If the table or its columns are missing.
    """
    table_path = Path(folder) / "labels.csv"
    if not table_path.is_file():
        msg = f"{table_path}: no such file; expected the Galaxy Zoo 2 vote table there"
        raise ImageError(msg)
    table = Table.read(table_path, format="ascii.csv")
    missing = {"objid", "asset_id", "derived_label", _SMOOTH, _DISK} - set(table.colnames)
    if missing:
        msg = f"{table_path}: no column {min(missing)!r}"
        raise ImageError(msg)
    return [
        GalaxyCutout(
            str(row["objid"]),
            Path(folder) / "images" / f"{row['asset_id']}.jpg",
            float(row[_DISK] / max(row[_DISK] + row[_SMOOTH], 1e-6)),
        )
        for row in table
        if row["derived_label"] != "merger"
    ]


def cutout_light(path: str | Path, *, shrink: float = 1.0) -> NDArray[np.float32]:
    """Return the light of a cutout's central galaxy, in linear units, without its neighbours.

    Parameters
    ----------
    path : path
        Colour image with i, r, g as red, green, blue.
    shrink : float
        Factor by which the image is made smaller.

    Returns
    -------
    ndarray
        ``(3, n, n)`` float32 in g, r, i; brightest pixel of the mean 1, sky 0.

    Raises
    ------
    ImageError
        If the file is missing or is no image.
    """
    import sep
    from PIL import Image as Picture

    try:
        with Picture.open(path) as picture:
            rgb = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    except OSError as error:
        msg = f"{path}: cannot be read as an image: {error}"
        raise ImageError(msg) from error
    brightness = rgb.mean(axis=2)
    linear = np.sinh(_SOFTENING * brightness) / _SOFTENING
    light = rgb * (linear / np.maximum(brightness, 1e-4))[..., None]
    light -= np.median(light[_border(light.shape[:2])], axis=0)
    mean = np.ascontiguousarray(light.mean(axis=2))
    noise = max(float(np.std(mean[_border(mean.shape)])), 1e-4)
    _, owner = sep.extract(mean, 1.5, err=noise, minarea=20, segmentation_map=True)
    light[~_central(owner)] = 0
    small = _shrink(light, shrink)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[::-1] / max(float(small.mean(2).max()), 1e-6))


def _central(owner: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of the segment in the middle and its faint surroundings, without its neighbours."""
    from scipy import ndimage

    centre = owner[owner.shape[0] // 2, owner.shape[1] // 2]
    if centre == 0:
        return owner == 0
    around = ndimage.binary_dilation(owner == centre, iterations=_HALO)
    neighbours = ndimage.binary_dilation((owner != 0) & (owner != centre), iterations=_HALO // 2)
    return around & (~neighbours | (owner == centre))


def _border(shape: tuple[int, int]) -> NDArray[np.bool_]:
    edge = np.ones(shape, dtype=bool)
    margin = max(min(shape) // 20, 1)
    edge[margin:-margin, margin:-margin] = False
    return edge


def _shrink(light: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Average over pixels while making the image smaller."""
    from scipy import ndimage

    if factor <= 1:
        return light
    smooth = ndimage.gaussian_filter(light, (factor / 2.5, factor / 2.5, 0))
    return ndimage.zoom(smooth, (1 / factor, 1 / factor, 1), order=1).astype(np.float32)
