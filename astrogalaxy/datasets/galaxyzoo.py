"""Galaxy Zoo: colour cutouts of single galaxies with the votes of volunteers.

Galaxy Zoo 2 (Willett et al. 2013, Hart et al. 2016) and Galaxy Zoo DECaLS (Walmsley et al. 2022): a folder with the
vote table, ``labels.csv``, and the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.datasets.pictures import read_rgb
from astrogalaxy.datasets.votes import galaxies, mergers, of_decals, read_vote_table, vote_shares
from astrogalaxy.errors import ImageError

__all__ = [
    "GalaxyCutout",
    "central_light",
    "cutout_light",
    "read_galaxy_zoo",
]

# The stretch of the SDSS colour images (Lupton et al. 2004).
_SOFTENING = 8.0
# Pixels around the galaxy's segment that still hold its light.
_HALO = 12
# Largest distance of a galaxy's brightest pixel from the middle, in sides of the image, and the share of the light of
# that pixel down to which the galaxy reaches.
_OFF_CENTRE, _FAINTEST = 0.15, 0.03


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

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.datasets.galaxyzoo import GalaxyCutout
    >>> cutout = GalaxyCutout("587722981736579107", Path("images/1234.jpg"), p_disk=0.9)
    >>> "disk" if cutout.p_disk > 0.5 else "smooth"
    'disk'
    """

    name: str
    path: Path
    p_disk: float


def read_galaxy_zoo(folder: str | Path) -> list[GalaxyCutout]:
    r"""Read the vote table of Galaxy Zoo 2 or Galaxy Zoo DECaLS, ``labels.csv``, of a folder with the images.

    Galaxies whose volunteers saw a merger are left out: they are neither smooth nor disk.

    Parameters
    ----------
    folder : path
        Of Galaxy Zoo 2 (Willett et al. 2013, with the weighted fractions of Hart et al. 2016), with ``objid``,
        ``asset_id`` (the name of the image) and ``derived_label``; or of Galaxy Zoo DECaLS (Walmsley et al. 2022), with
        ``id_str`` or ``iauname``. See `~astrogalaxy.datasets.votes.vote_shares` for the votes.

    Returns
    -------
    list of GalaxyCutout
        In the order of the table, without galaxies that have no votes; whether the images are there is not looked at.

    Raises
    ------
    ImageError
        If the table or its columns are missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.datasets.galaxyzoo import read_galaxy_zoo
    >>> first = "t01_smooth_or_features"
    >>> votes = f"{first}_a01_smooth_weighted_fraction,{first}_a02_features_or_disk_weighted_fraction"
    >>> text = f"objid,asset_id,derived_label,{votes}\n7,1234,disk,0.2,0.6\n"
    >>> Path("zoo2").mkdir()
    >>> _ = Path("zoo2", "labels.csv").write_text(text, encoding="utf-8")
    >>> cutout = read_galaxy_zoo("zoo2")[0]
    >>> cutout.name, cutout.path.name, round(cutout.p_disk, 2)
    ('7', '1234.jpg', 0.75)
    """
    path, table = read_vote_table(folder)
    if not of_decals(table) and "derived_label" not in table.colnames:
        msg = f"{path}: no column 'derived_label'"
        raise ImageError(msg)
    _, shares = vote_shares(table, "smooth-disk", source=str(path))
    shares[mergers(table)] = np.nan
    rows = zip(*galaxies(table, path), shares[:, 1].tolist(), strict=True)
    return [GalaxyCutout(name, image, p_disk) for name, image, p_disk in rows if np.isfinite(p_disk)]


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

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.galaxyzoo import cutout_light
    >>> away = np.hypot(*(np.mgrid[:64, :64] - 31.5))
    >>> values = (200 * np.exp(-away / 5)).astype(np.uint8)
    >>> Picture.fromarray(np.dstack([values] * 3)).save("galaxy.png")
    >>> light = cutout_light("galaxy.png")
    >>> light.shape, float(light.mean(axis=0).max())
    ((3, 64, 64), 1.0)
    """
    light = _linear_light(path)
    light[~_central(_segments(light))] = 0
    small = _shrink(light, shrink)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[::-1] / max(float(small.mean(2).max()), 1e-6))


def central_light(
    picture: str | Path | NDArray[np.uint8], *, side: int, centre: float = 0.5
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the middle of a cutout in linear units, with all that is seen there.

    Parameters
    ----------
    picture : path or ndarray
        Colour image with the longest wavelength as red: a file, or ``(ny, nx, 3)`` pixels.
    side : int
        Side in pixels to which the middle is made smaller.
    centre : float
        Side of the middle in sides of the cutout: neighbours lie outside.

    Returns
    -------
    light : ndarray
        ``(3, side, side)`` float32, shortest wavelength first; brightest pixel of the mean 1, sky 0.
    galaxy : ndarray
        ``(side, side)`` pixels of the galaxy in the middle, down to 3 % of its brightest one.

    Raises
    ------
    ImageError
        If the file is missing or is no image.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.galaxyzoo import central_light
    >>> away = np.hypot(*(np.mgrid[:64, :64] - 31.5))
    >>> values = (200 * np.exp(-away / 5)).astype(np.uint8)
    >>> Picture.fromarray(np.dstack([values] * 3)).save("middle.png")
    >>> light, galaxy = central_light("middle.png", side=16)
    >>> light.shape, bool(galaxy[8, 8]), bool(galaxy[0, 0])
    ((3, 16, 16), True, False)
    """
    from PIL import Image as Picture

    light = _linear_light(picture)
    rows, columns = (slice(round(n * (1 - centre) / 2), round(n * (1 + centre) / 2)) for n in light.shape[:2])
    planes = light[rows, columns].transpose(2, 0, 1)[::-1]
    # a box averages over the pixels that become one, so that no light is lost
    small = np.stack([np.asarray(Picture.fromarray(p).resize((side, side), Picture.Resampling.BOX)) for p in planes])
    mean = small.mean(axis=0)
    return np.asarray(small / max(float(mean.max()), 1e-6), np.float32), _middle_source(mean)


def _linear_light(picture: str | Path | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels ``(ny, nx, 3)`` of a colour image without their stretch and without the sky."""
    pixels = picture if isinstance(picture, np.ndarray) else read_rgb(Path(picture))
    rgb = pixels.astype(np.float32) / 255
    brightness = rgb.mean(axis=2)
    linear = np.sinh(_SOFTENING * brightness) / _SOFTENING
    light = rgb * (linear / np.maximum(brightness, 1e-4))[..., None]
    return np.asarray(light - np.median(light[_border(light.shape[:2])], axis=0), np.float32)


def _segments(light: NDArray[np.float32]) -> NDArray[np.int32]:
    """Number of the source that each pixel belongs to, 0 for sky."""
    import sep

    mean = np.ascontiguousarray(light.mean(axis=2))
    noise = max(float(np.std(mean[_border(mean.shape)])), 1e-4)
    _, owner = sep.extract(mean, 1.5, err=noise, minarea=20, segmentation_map=True)
    return np.asarray(owner)


def _middle_source(light: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels of the source in the middle, down to a share of its brightest one."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(light, 1.0)
    distance = np.hypot(*(np.indices(light.shape) - (np.array(light.shape).reshape(2, 1, 1) - 1) / 2))
    peak = int(np.argmax(np.where(distance < _OFF_CENTRE * min(light.shape), smooth, -np.inf)))
    owner, _ = ndimage.label(smooth >= _FAINTEST * smooth.ravel()[peak])
    return np.asarray(owner == owner.ravel()[peak])


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
