"""Galaxies that are larger than what the network sees at once: found on the image made smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import ndimage

from astrogalaxy.detection.aligned import field_seeing, find_aligned
from astrogalaxy.detection.detections import Detections
from astrogalaxy.detection.pieces import in_middle
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.images import Aligned, Band, Image, Mesh, Section, plan_tiles
from astrogalaxy.images.saturation import blunt_cores, core_of
from astrogalaxy.images.threshold import above_threshold

__all__ = ["find_large"]

# Pixels that are added up, along each axis; stars are too narrow then for their width to matter.
_BIN, _BINNED_SEEING = 4, 1.5
# Side from which a galaxy lifts the boxes in which the sky is measured, and that of images on which that is not asked.
_LARGE, _TOO_SMALL = 64.0, 192
# What lies so near to the middle of a larger one is a part of it, in sides of the box.
_WITHIN = 0.5
# Boxes of the sky, along each axis, whose median no galaxy of interest lifts.
_SKY_BOXES = 9
# Binned pixels that are looked at together, and by how many these sections overlap.
_SIDE, _OVERLAP = 768, 96
# Where its outline is, in units of the noise; of the light of a galaxy, what is less than this share is a part of it;
# half a side of its box in root mean squares of its light.
_OUTLINE, _PART, _BOX = 1.5, 0.02, 2.2
# Half a side of what is looked at closely, and how clear a galaxy's middle is there at least: trails and reflections
# are large, too, and some faint galaxy may lie on them.
_CLOSE, _CLEAR = 64, 40.0


def find_large(image: Image, runtime: Runtime) -> None:
    """Look for galaxies that the network cannot see whole, and put right the sky that they have lifted; once per image.

    The reference band is made smaller, four pixels to one, over a sky that is smooth on the scale of galaxies. What is
    large there, and at full size has a galaxy in its middle, becomes ``image.large`` (`Detections`, pixels of the
    image); the sky of all bands under it is bridged (`Mesh.bridged`).

    Parameters
    ----------
    image : Image
        Its ``large``, and the mesh of its bands, are changed.
    runtime : Runtime
        The network. If it does not serve a single band, nothing is large.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import find_large, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=256, seed=2)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])})
    >>> find_large(image, open_runtime())
    >>> len(image.large)
    0
    """
    if image.large is not None:
        return
    found = Detections.none()
    if runtime.weights.card.min_bands == 1 and min(image.shape) >= _TOO_SMALL:
        for part in _looked_at(image.bands[image.reference], runtime):
            found = found.join(part)
    confirmed = [_confirmed(image, runtime, found.take(np.array([i]))) for i in range(len(found))]
    image.large = _outermost(found.take(np.array(confirmed, dtype=bool)))
    if len(image.large):
        for name, band in image.bands.items():
            band.mesh = band.mesh.bridged(image.on_band(name, image.large.boxes))


def _outermost(found: Detections) -> Detections:
    """Without those that lie within a larger one: they are the same, or a part of it."""
    kept: list[int] = []
    width, height = found.x_max - found.x_min, found.y_max - found.y_min
    for i in np.argsort(-width * height, kind="stable"):
        x, y = (found.x[kept] - found.x[i]) / width[kept], (found.y[kept] - found.y[i]) / height[kept]
        if not (np.hypot(x, y) < _WITHIN).any():
            kept.append(i)
    return found.take(np.array(kept, dtype=np.intp))


def _looked_at(band: Band, runtime: Runtime) -> Iterator[Detections]:
    """Large galaxies of each part of a band, as they look when it is made smaller; pixels of the band."""
    smooth = _smooth_sky(band.mesh)
    for tile in plan_tiles(tuple(side // _BIN for side in band.shape), size=_SIDE, overlap=_OVERLAP):
        small = _binned(band, smooth, tile.outer)
        found = find_aligned(small, runtime, seeing=_BINNED_SEEING)
        side = np.sqrt((found.x_max - found.x_min) * (found.y_max - found.y_min))
        found = found.take((side * _BIN > _LARGE) & (found.p_galaxy > 0.5))
        if len(found):
            found = _outlined(found, small)
            found = found.take(tile.owns(found.x, found.y))
        middle = (_BIN - 1) / 2
        names = ("x", "y", "x_min", "x_max", "y_min", "y_max")
        yield replace(found, **{name: getattr(found, name) * _BIN + middle for name in names})


def _outlined(found: Detections, small: Aligned) -> Detections:
    """With the centres and boxes of the light above the noise in which each of them lies; those that lie in none go.

    The network says what is a galaxy. How far one reaches that lies aslant, or is larger still than what it sees, it
    says less well than a threshold does.
    """
    light, x0, y0 = np.ascontiguousarray(small.snr[0]), small.section.x0, small.section.y0
    outlines, owner = above_threshold(light, _OUTLINE, mask=small.bad[0], deblend_cont=_PART, segmentation_map=True)
    columns, rows = (np.rint(at).astype(int) for at in (found.x - x0, found.y - y0))
    number = owner[np.clip(rows, 0, owner.shape[0] - 1), np.clip(columns, 0, owner.shape[1] - 1)]
    found, outline = found.take(number > 0), outlines[number[number > 0] - 1]
    x, y, half_x, half_y = (outline["x"] + x0, outline["y"] + y0, *(_BOX * np.sqrt(outline[n]) for n in ("x2", "y2")))
    sides = {"x_min": x - half_x, "x_max": x + half_x, "y_min": y - half_y, "y_max": y + half_y}
    return replace(found, x=x, y=y, **sides)


def _smooth_sky(mesh: Mesh) -> Mesh:
    """A sky without what large galaxies have put into it."""
    parts = (mesh.background_mesh, mesh.noise_mesh)
    background, noise = (ndimage.median_filter(part, _SKY_BOXES, mode="nearest") for part in parts)
    return replace(mesh, background_mesh=background, noise_mesh=noise)


def _binned(band: Band, smooth: Mesh, section: Section) -> Aligned:
    """A section of the smaller image, in units of the noise."""
    full = Section(*(edge * _BIN for edge in section))
    pixels = band.pixels(full)
    light = pixels.data + band.mesh.background(full) - smooth.background(full)
    light[pixels.bad] = 0.0
    ny, nx = section.shape
    light = light.reshape(ny, _BIN, nx, _BIN).sum(axis=(1, 3))
    noise = np.sqrt(np.square(pixels.noise).reshape(ny, _BIN, nx, _BIN).sum(axis=(1, 3)))
    bad = pixels.bad.reshape(ny, _BIN, nx, _BIN).mean(axis=(1, 3)) > 0.5
    snr = np.where(bad, 0.0, light / noise).astype(np.float32)
    return Aligned(snr[None], bad[None], (band.name,), section)


def _confirmed(image: Image, runtime: Runtime, galaxy: Detections) -> bool:
    """Whether there is a galaxy in the middle at full size: not the halo of a star, nor a crowd of them."""
    (x,), (y,) = galaxy.x, galaxy.y
    x0, y0 = (int(max(centre - _CLOSE, 0) // 32 * 32) for centre in (x, y))
    section = Section(x0, x0 + 2 * _CLOSE + 32, y0, y0 + 2 * _CLOSE + 32).clip(image.shape)
    aligned = image.aligned(section)
    close = find_aligned(aligned, runtime, seeing=field_seeing(image, runtime.weights.card))
    main = in_middle(close, galaxy)
    if main is None or close.significance[main] < _CLEAR:
        return False
    cores = blunt_cores(aligned.snr.max(axis=0), 1.0, aligned.bad.all(axis=0), image.bands[image.reference].seeing)
    at = close.x[[main]] - section.x0, close.y[[main]] - section.y0
    return bool((core_of(cores, *at) < 0).all())
